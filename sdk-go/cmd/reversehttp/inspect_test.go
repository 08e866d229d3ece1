package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"reversehttp/server/gateway"
)

// asked runs a command that ends by itself, and returns its output.
func asked(t *testing.T, args ...string) (lines []map[string]any, code int, stderr string) {
	t.Helper()
	var out, errs buffer
	code = run(args, nil, &out, &errs)
	for line := range strings.Lines(out.String()) {
		e := map[string]any{}
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Errorf("%q: the line is no JSON: %q", args, line)
		}
		lines = append(lines, e)
	}
	return lines, code, errs.String()
}

// visit sends a request with a method and target, and waits until the command has printed the exchange.
func (r *running) visit(l *lender, method, target, content string) (id string) {
	r.t.Helper()
	req, err := http.NewRequest(method, r.url+strings.TrimPrefix(target, "/"), strings.NewReader(content))
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer visitor")
	resp, err := l.visitor(r.t).Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	resp.Body.Close()
	return r.next("exchange").text("id")
}

func targets(lines []map[string]any) (all []string) {
	for _, e := range lines {
		target, _ := e["target"].(string)
		all = append(all, target)
	}
	return all
}

func TestInspectListsRecordingsTheNewestLast(t *testing.T) {
	l := lend(t, hostShape, gateway.Options{})
	r := l.claim(t, "inbox", "--status=404", "--label=listed")
	r.visit(l, "GET", "/one", "")
	r.visit(l, "POST", "/two?x", "content")
	r.visit(l, "GET", "/three", "")
	for args, want := range map[string]string{
		"":                          "/one /two?x /three",
		"listed":                    "/one /two?x /three",
		"--limit 2":                 "/two?x /three",
		"--method post":             "/two?x",
		"--path /t":                 "/two?x /three",
		"--status 404 --path /o":    "/one",
		"--status 4xx --method GET": "/one /three",
		"--status 200":              "",
		"--code no_handler":         "",
	} {
		lines, code, stderr := asked(t, append([]string{"inspect", "--gateway", l.origin}, strings.Fields(args)...)...)
		if got := strings.Join(targets(lines), " "); code != exitDone || got != want {
			t.Errorf("inspect %s = %d %s %q, want %q", args, code, stderr, got, want)
		}
	}
}

func TestInspectPrintsAWholeRecording(t *testing.T) {
	l := lend(t, hostShape, gateway.Options{})
	r := l.claim(t, "inbox", "--body=answered", "--label=whole")
	id := r.visit(l, "POST", "/hook", "asked \x1b[2J")
	lines, code, stderr := asked(t, "inspect", "whole", "--id", id, "--gateway", l.origin)
	if code != exitDone || len(lines) != 1 {
		t.Fatalf("inspect = %d %s %v", code, stderr, lines)
	}
	request, response := lines[0]["request"].(map[string]any), lines[0]["response"].(map[string]any)
	if request["body"] != "asked \x1b[2J" || response["body"] != "answered" || response["status"] != 200.0 {
		t.Errorf("recording = %v", lines[0])
	}

	a := &asking{options: &options{Gateway: l.origin}, client: l.visitor(t), people: true, out: &bytes.Buffer{}}
	if err := (&inspect{Label: "whole", ID: id, Limit: 1}).ask(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	got := a.out.(*bytes.Buffer).String()
	inertText(t, got)
	for _, want := range []string{id, "\nPOST /hook HTTP/1.1 from 127.0.0.1:", "    Authorization: Bearer visitor\n", `    asked \x1b[2J`, "\n200\n", "    answered\n", "first byte", "attempt 1: the handler had the request"} {
		if !strings.Contains(got, want) {
			t.Errorf("people are not shown %q:\n%s", want, got)
		}
	}
}

func TestInspectDrawsATableForPeople(t *testing.T) {
	l := lend(t, hostShape, gateway.Options{})
	r := l.claim(t, "inbox", "--label=drawn")
	a := &asking{options: &options{Gateway: l.origin}, client: l.visitor(t), people: true, out: &bytes.Buffer{}}
	t.Setenv("NO_COLOR", "1")
	print := func() string {
		out := &bytes.Buffer{}
		a.out = out
		if err := (&inspect{Limit: 50}).ask(t.Context(), a); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	if got, want := print(), "nothing yet; try: curl "+r.url+"\n"; got != want {
		t.Errorf("without recordings %q, want %q", got, want)
	}
	id := r.visit(l, "PUT", "/"+strings.Repeat("x", 200), "")
	lines := strings.Split(strings.TrimSpace(print()), "\n")
	if len(lines) != 2 || !strings.HasPrefix(lines[0], "TIME ") || !strings.Contains(lines[1], " PUT ") || !strings.Contains(lines[1], " 200 ") || !strings.Contains(lines[1], id) || len(lines[1]) > 80 {
		t.Errorf("table:\n%s", strings.Join(lines, "\n"))
	}
	t.Setenv("NO_COLOR", "")
	if got, want := print(), paint("   200", green); !strings.Contains(got, want) {
		t.Errorf("table:\n%s\nwant the status as %q", got, want)
	}
}

func TestInspectFollowsExchangesThatEnd(t *testing.T) {
	l := lend(t, hostShape, gateway.Options{})
	r := l.claim(t, "echo", "--label=followed")
	r.visit(l, "GET", "/before", "")
	f := start(t, "inspect", "--follow", "--gateway", l.origin)
	next := func() seen {
		select {
		case e, ok := <-f.events:
			if !ok {
				t.Fatalf("it ended: %s", f.stderr.String())
			}
			return e
		case <-t.Context().Done():
			return nil
		}
	}
	if e := next(); e.text("target") != "/before" {
		t.Errorf("first line = %v", e)
	}
	for _, target := range []string{"/a", "/b"} {
		r.visit(l, "GET", target, "")
		if e := next(); e.text("target") != target || e.text("state") != "ended" || e["status"] != 200.0 {
			t.Errorf("line = %v, want the end of %s", e, target)
		}
	}
	f.signals <- syscall.SIGINT
	if code := f.exit(); code != exitDone || f.stderr.String() != "" {
		t.Errorf("exit = %d %s", code, f.stderr.String())
	}
}

func TestInspectWritesAHARThatOnlyItsUserReads(t *testing.T) {
	l := lend(t, hostShape, gateway.Options{})
	r := l.claim(t, "inbox", "--label=archived")
	r.visit(l, "GET", "/a", "")
	name := filepath.Join(t.TempDir(), "a.har")
	for _, secrets := range []bool{false, true} {
		args := []string{"inspect", "--har", name, "--gateway", l.origin}
		if secrets {
			args = append(args, "--secrets")
		}
		if _, code, stderr := asked(t, args...); code != exitDone {
			t.Fatalf("%q = %d %s", args, code, stderr)
		}
		content, err := os.ReadFile(name)
		info, _ := os.Stat(name)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Fatalf("file = %v %v", info.Mode(), err)
		}
		var har struct {
			Log struct {
				Version string
				Entries []any
			}
		}
		if err := json.Unmarshal(content, &har); err != nil || har.Log.Version != "1.2" || len(har.Log.Entries) != 1 {
			t.Errorf("HAR = %s %v", content, err)
		}
		if shown := bytes.Contains(content, []byte("Bearer visitor")); shown != secrets {
			t.Errorf("--secrets %v: a secret is shown: %v", secrets, shown)
		}
	}
}

func TestReplaySendsARequestToTheHandlerAgain(t *testing.T) {
	l := lend(t, hostShape, gateway.Options{})
	r := l.claim(t, "inbox", "--label=again")
	id := r.visit(l, "POST", "/hook?x=1", "first")
	given := filepath.Join(t.TempDir(), "content")
	if err := os.WriteFile(given, []byte{0xff, 0}, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args                  []string
		method, target, body  string
		field, value, without string
	}{
		{nil, "POST", "/hook?x=1", "first", "Authorization", "Bearer visitor", "X-Again"},
		{[]string{"--method=PUT", "--target=/other", "--data=second", "--header", "X-Again: 1", "--header", "authorization:"}, "PUT", "/other", "second", "X-Again", "1", "Authorization"},
		{[]string{"--data-file", given}, "POST", "/hook?x=1", "\xff\x00", "Authorization", "Bearer visitor", "X-Again"},
	} {
		lines, code, stderr := asked(t, append([]string{"replay", id, "again", "--gateway", l.origin}, c.args...)...)
		if code != exitDone || len(lines) != 1 || lines[0]["replayOf"] != id || lines[0]["status"] != 200.0 || lines[0]["state"] != "ended" {
			t.Fatalf("replay %q = %d %s %v", c.args, code, stderr, lines)
		}
		q := r.next("request")
		body := q.text("body")
		if q.text("bodyBase64") != "" {
			body = "\xff\x00"
		}
		if q.text("method") != c.method || !strings.HasSuffix(q.text("url"), c.target) || body != c.body || field(q, c.field) != c.value || field(q, c.without) != "" {
			t.Errorf("replay %q gave %v", c.args, q)
		}
	}
}

// field returns the value of a field in an event of a request.
func field(q seen, name string) string {
	for _, f := range q["headers"].([]any) {
		if pair := f.([]any); pair[0] == name {
			return pair[1].(string)
		}
	}
	return ""
}

func TestErrorsAboutRecordingsSayWhatToDo(t *testing.T) {
	l := lend(t, hostShape, gateway.Options{})
	r := l.claim(t, "inbox", "--label=cut", "--token=secret-of-cut")
	id := r.visit(l, "POST", "/", strings.Repeat("x", 300<<10))
	l.claim(t, "inbox", "--label=silent", "--no-inspect")
	viewer := viewerOf(t, l, "cut", "secret-of-cut")
	other := lend(t, hostShape, gateway.Options{})
	for _, c := range []struct {
		args string
		code int
		want string
	}{
		{"inspect silent", exitFailed, "leave --no-inspect out"},
		{"inspect silent --id x", exitFailed, "leave --no-inspect out"},
		{"replay x silent", exitFailed, "leave --no-inspect out"},
		{"inspect", exitUsage, "several commands run here: cut at " + l.origin + ", silent at"},
		{"inspect nobody", exitUsage, "no command of yours that runs here serves"},
		{"inspect nobody --token t", exitEnded, "nobody claims"},
		{"inspect cut --token wrong", exitRefused, "check REVERSEHTTP_TOKEN"},
		{"inspect cut --gateway " + other.origin, exitUsage, "but cut at " + l.origin + " does"},
		{"inspect cut --id nix", exitFailed, "reversehttp inspect cut lists those that there are"},
		{"replay nix cut", exitFailed, "reversehttp inspect cut lists those that there are"},
		{"replay " + id + " cut", exitFailed, "give all of it with --data or --data-file"},
		{"replay " + id + " cut --token " + viewer, exitRefused, "the token that owns it"},
		{"replay " + id + " cut --data x --target bad", exitUsage, "the gateway refuses that"},
		{"replay " + id + " cut --data x --data-file y", exitUsage, "give one of them"},
		{"replay " + id + " cut --data-file /nowhere", exitUsage, "no such file"},
		{"replay " + id + " cut --header bad", exitUsage, "X-Again:1"},
		{"inspect cut --status 9xx", exitUsage, "a class such as 5xx"},
		{"inspect cut --path x", exitUsage, "begin with a slash"},
		{"inspect cut --limit 201", exitUsage, "1 to 200"},
		{"inspect cut --limit 0", exitUsage, "1 to 200"},
		{"inspect cut --id x --follow", exitUsage, "give one"},
		{"inspect cut --har /nowhere/x", exitUsage, "no such file"},
	} {
		args := strings.Fields(c.args)
		if !slices.Contains(args, "--gateway") {
			args = append(args, "--gateway", l.origin)
		}
		lines, code, stderr := asked(t, args...)
		if code != c.code || !strings.Contains(stderr, c.want) || len(lines) > 0 || strings.Contains(stderr, "secret-of") {
			t.Errorf("%s = %d %q %v, want %d and %q", c.args, code, stderr, lines, c.code, c.want)
		}
	}
	if lines, code, stderr := asked(t, "inspect", "cut", "--token", viewer, "--gateway", l.origin); code != exitDone || len(lines) != 1 {
		t.Errorf("a viewer is shown %v %d %s", lines, code, stderr)
	}
}
