package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	reversehttp "reversehttp/sdk-go"
	"reversehttp/server/gateway"
)

func readme(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestEveryCommandOfTheReadmeRuns(t *testing.T) {
	t.Parallel()
	l := lend(t, hostShape, gateway.Options{})
	ran := 0
	for _, m := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(readme(t), -1) {
		for _, line := range strings.Split(strings.TrimSpace(m[1]), "\n") {
			ran++
			switch {
			case strings.HasPrefix(line, "go install "):
				// It would change this machine; a build shows that the path is right.
				built(t)
				if _, err := os.Stat("../../../" + strings.TrimPrefix(line, "go install ./")); err != nil {
					t.Error(err)
				}
			case strings.HasPrefix(line, "source "):
				p := launch(t, l, line+"\ncomplete -p reversehttp")
				if code := p.exit(); code != 0 {
					t.Errorf("%s = %d %s", line, code, p.stderr.String())
				}
			case line == "reversehttp mcp":
				p := launch(t, l, line+" < /dev/null")
				if code := p.exit(); code != 0 {
					t.Errorf("%s = %d %s", line, code, p.stderr.String())
				}
			case strings.HasPrefix(line, "reversehttp inspect"):
				inspectAsTheReadme(t, l, line)
			case strings.Contains(line, "|"):
				p := launch(t, l, line)
				hook(t, l, "hooks")
				if !p.lines.Scan() || p.lines.Text() != "hooked" {
					t.Errorf("%s printed %q, want the content; stderr %s", line, p.lines.Text(), p.stderr.String())
				}
			default:
				p := launch(t, l, "cd "+parentOfPublic(t)+" && exec env "+line)
				if url := p.next("claimed").text("url"); strings.Contains(line, "--label demo") && !strings.HasPrefix(url, "http://demo.") {
					t.Errorf("%s: url = %s", line, url)
				}
				p.signal(syscall.SIGINT)
				if code := p.exit(); code != 0 {
					t.Errorf("%s = %d %s", line, code, p.stderr.String())
				}
			}
		}
	}
	if ran < 8 {
		t.Errorf("%d commands, want 8 at least", ran)
	}
}

// inspectAsTheReadme runs a line while a command serves hooks, after a request arrived there.
func inspectAsTheReadme(t *testing.T, l *lender, line string) {
	t.Helper()
	r := l.claim(t, "inbox", "--label=hooks")
	r.visit(l, "POST", "/hook", "hooked")
	if !strings.Contains(line, "|") {
		line = "exec " + line
	}
	p := launch(t, l, "set -o pipefail; "+line)
	if !p.lines.Scan() || !json.Valid(p.lines.Bytes()) {
		t.Errorf("%s printed %q, want JSON; stderr %s", line, p.lines.Text(), p.stderr.String())
	}
	if strings.Contains(line, "--follow") {
		p.signal(syscall.SIGINT)
	}
	if code := p.exit(); code != 0 {
		t.Errorf("%s = %d %s", line, code, p.stderr.String())
	}
	r.signals <- syscall.SIGINT
	r.exit()
}

func TestEveryCommandOfTheMainReadmeRuns(t *testing.T) {
	b, err := os.ReadFile("../../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	l := lend(t, hostShape, gateway.Options{})
	lines := regexp.MustCompile(`(?m)^    go run \./sdk-go/cmd/reversehttp ([^#\n]*)`).FindAllStringSubmatch(string(b), -1)
	if len(lines) != 3 {
		t.Errorf("%d commands, want 3", len(lines))
	}
	for _, m := range lines {
		l.claim(t, strings.Fields(m[1])...)
	}
}

func parentOfPublic(t *testing.T) string {
	dir := t.TempDir()
	if err := os.Mkdir(dir+"/public", 0o755); err != nil {
		t.Fatal(err)
	}
	for name, secret := range map[string]string{"login.txt": "ann:a-password", "github.txt": "github:a-secret"} {
		if err := os.WriteFile(dir+"/"+name, []byte(secret+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// hook posts to a label as soon as it is claimed.
func hook(t *testing.T, l *lender, label string) {
	t.Helper()
	client := l.visitor(t)
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		resp, err := client.Post(strings.Replace(l.origin, "localhost", label+".localhost", 1), "text/plain", strings.NewReader("hooked"))
		if content(t, resp, err); resp.StatusCode == http.StatusOK {
			return
		}
	}
	t.Fatalf("nobody claims %s", label)
}

func TestTheReadmeListsEveryMemberAndExitCode(t *testing.T) {
	text := readme(t)
	var out buffer
	v := newJSONView(&out)
	v.claimed("u", "l", "s")
	v.domain("n", reversehttp.Domain{URL: "u", Record: "r", Value: "v", Problem: "p"})
	v.shared("u", time.Hour)
	v.state(reversehttp.Reconnecting)
	v.draining()
	v.waits("d")
	v.received(&request{Body: "b", BodyBase64: "b", Truncated: true, Fault: "f", Trailers: [][2]string{{"a", "b"}}})
	v.ended(exchange{fault: "f"})
	v.close(errCut)
	documented := map[string]string{}
	for _, m := range regexp.MustCompile("(?m)^\\| `(\\w+)` \\|[^|]*\\|(.*)\\|$").FindAllStringSubmatch(text, -1) {
		if m[1] != "event" { // the head of the table
			documented[m[1]] = m[2]
		}
	}
	if len(documented) != 7 {
		t.Errorf("%d events, want 7", len(documented))
	}
	for d := json.NewDecoder(strings.NewReader(out.String())); ; {
		e := seen{}
		if err := d.Decode(&e); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		for member := range e {
			if member != "event" && member != "timeMs" && !strings.Contains(documented[e.text("event")], "`"+member+"`") {
				t.Errorf("README.md does not describe %s in %s", member, e.text("event"))
			}
		}
	}
	for code := exitDone; code <= exitCut; code++ {
		if !strings.Contains(text, fmt.Sprintf("\n| %d | ", code)) || !strings.Contains(exitHelp, fmt.Sprintf("%d ", code)) {
			t.Errorf("exit code %d is not documented", code)
		}
	}
}
