package main

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"reversehttp/server/gateway"
)

// upFileOf writes a file for up and returns its path.
func upFileOf(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "reversehttp.json")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestUpRunsTheCommandsOfTheFileUntilASignal(t *testing.T) {
	s := local(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "local "+r.RequestURI) })
	l := lend(t, hostShape, gateway.Options{})
	file := upFileOf(t, `// two of them
{
  "gateway": "`+l.origin+`",
  "ephemeral": true,
  "up": {
    "web": {"forward": "`+s.URL+`", "label": "web", "inspect": false},
    "hooks": {"inbox": "", "label": "hooks", "status": 202},
    "not": {"echo": "", "label": "not"}
  }
}`)
	out, in := io.Pipe()
	var stderr buffer
	signals, code := make(chan os.Signal, 2), make(chan int, 1)
	go func() {
		code <- run([]string{"up", "--file", file, "web", "hooks"}, signals, in, &stderr)
		in.Close()
	}()
	urls, events := map[string]string{}, make(chan seen, 100)
	go func() {
		defer close(events)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			e := seen{}
			if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
				t.Errorf("line is no JSON: %q", lines.Text())
			}
			events <- e
		}
	}()
	for e := range events {
		if e.text("event") == "claimed" {
			urls[e.text("name")] = e.text("url")
		}
		if len(urls) == 2 {
			break
		}
	}
	resp, err := l.visitor(t).Get(urls["web"] + "x")
	if got := content(t, resp, err); got != "local /x" {
		t.Errorf("web answers %q; stderr: %s", got, stderr.String())
	}
	resp, err = l.visitor(t).Get(urls["hooks"])
	if content(t, resp, err); resp.StatusCode != 202 {
		t.Errorf("hooks answers %d, want 202", resp.StatusCode)
	}
	signals <- syscall.SIGINT
	ended := map[string]bool{}
	for e := range events {
		if e.text("event") == "ended" {
			ended[e.text("name")] = e["exitCode"] == 0.0
		}
	}
	if c := <-code; c != exitDone || !ended["web"] || !ended["hooks"] || len(ended) != 2 {
		t.Errorf("exit = %d, ended %v; stderr: %s", c, ended, stderr.String())
	}
}

func TestACommandThatFailsEndsTheOthersOfUp(t *testing.T) {
	l := lend(t, hostShape, gateway.Options{})
	l.claim(t, "echo", "--label", "taken", "--token", "secret-of-taken")
	file := upFileOf(t, `{"ephemeral": true, "up": {"a": {"echo": "", "label": "free"}, "b": {"echo": "", "label": "taken"}}}`)
	var stdout, stderr buffer
	if code := run([]string{"up", "--file", file, "--gateway", l.origin}, make(chan os.Signal), &stdout, &stderr); code != exitRefused || !strings.Contains(stderr.String(), `"taken" is taken`) {
		t.Errorf("exit = %d, want %d; stderr: %s", code, exitRefused, stderr.String())
	}
}

func TestTheErrorForAFileOfUpHasTheReason(t *testing.T) {
	for content, says := range map[string]string{
		`{`:                                    "unexpected EOF",
		`{}`:                                   "0 commands",
		`{"up":{}}`:                            "0 commands",
		`{"up":{"a":3}}`:                       "a: give one of",
		`{"up":{"a":{}}}`:                      "a: give one of",
		`{"up":{"a":{"echo":"","inbox":""}}}`:  "give one command",
		`{"up":{"a":{"echo":["x"]}}}`:          "as a string",
		`{"up":{"a":{"echo":"","label":{}}}}`:  "label: give a string",
		`{"up":{"a":{"echo":"","lable":"x"}}}`: "--lable",
		`{"up":{"a":{"forward":""}}}`:          "<target>",
		`{"up":{"a":{"echo":"","help":true}}}`: "a command that serves",
		`{"up":{"a b":{"echo":""}}}`:           "the name",
		`{"up":{"b":{"echo":""}}, "mute":1}`:   "--mute",
	} {
		var stdout, stderr buffer
		if code := run([]string{"up", "--file", upFileOf(t, content)}, nil, &stdout, &stderr); code != exitUsage || !strings.Contains(stderr.String(), says) || !strings.Contains(stderr.String(), "reversehttp.json: ") && !strings.Contains(stderr.String(), "reversehttp.json lists") {
			t.Errorf("%s: exit = %d, %q, want %d, the file and %q", content, code, stderr.String(), exitUsage, says)
		}
	}
	for args, says := range map[string]string{"up --file nowhere.json": "nowhere.json", "up a --label x": "--label: up has its flags in the file", "up c": "lists no c"} {
		var stdout, stderr buffer
		all := append(strings.Fields(args), "--file", upFileOf(t, `{"up":{"a":{"echo":""}}}`))
		if strings.Contains(args, "--file") {
			all = strings.Fields(args)
		}
		if code := run(all, nil, &stdout, &stderr); code != exitUsage || !strings.Contains(stderr.String(), says) {
			t.Errorf("%s: exit = %d, %q, want %d and %q", args, code, stderr.String(), exitUsage, says)
		}
	}
}

func TestUpWarnsOfAFileWithSecretsThatOthersCanRead(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there are no such permissions")
	}
	for content, want := range map[string]bool{
		`{"token":"t0","up":{"a":{"echo":"","lable":"x"}}}`:                       true,
		`{"up":{"a":{"echo":"","basic-auth":["ann:pw"]},"b":{"echo":"","no":1}}}`: true,
		`{"up":{"a":{"echo":"","lable":"x"}}}`:                                    false,
	} {
		file := upFileOf(t, content)
		for mode, open := range map[os.FileMode]bool{0o644: true, 0o600: false} {
			if err := os.Chmod(file, mode); err != nil {
				t.Fatal(err)
			}
			var stdout, stderr buffer
			run([]string{"up", "--file", file}, nil, &stdout, &stderr) // ends at a flag that there is not
			if got := strings.Contains(stderr.String(), "chmod 600"); got != (want && open) || strings.Contains(stderr.String(), "pw") {
				t.Errorf("%s, mode %o: noted is %t, want %t: %s", content, mode, got, want && open, stderr.String())
			}
		}
	}
}

func TestLinesBeginWithTheNameOfTheirCommand(t *testing.T) {
	var out buffer
	v := &lines{out: &out, name: "web "}
	v.claimed("http://web.localhost:8080/", "web", "http://localhost:3000")
	v.console(hostile)
	v.waits("nothing listens")
	v.shared("http://x/", time.Hour)
	v.ended(exchange{method: "GET", target: "/" + hostile, status: 200, began: noon, duration: time.Second, fault: hostile})
	v.close(errCut)
	inertText(t, out.String())
	for line := range strings.Lines(out.String()) {
		if !strings.HasPrefix(line, "web   ") {
			t.Errorf("line = %q", line)
		}
	}
	if !strings.HasPrefix(out.String(), "web   http://web.localhost:8080/  http://localhost:3000\n") {
		t.Errorf("lines:\n%s", out.String())
	}
}

func TestWithoutArgumentsThereIsHelpWithExamples(t *testing.T) {
	var stdout, stderr buffer
	if code := run(nil, nil, &stdout, &stderr); code != exitUsage || stdout.String() != "" || !strings.Contains(stderr.String(), "Usage: reversehttp") || !strings.Contains(stderr.String(), "reversehttp forward 3000") {
		t.Errorf("exit = %d, stdout %q, stderr %.300q", code, stdout.String(), stderr.String())
	}
}
