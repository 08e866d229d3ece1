package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"reversehttp/server/claim"
	"reversehttp/server/gateway"
)

// built returns the directory of the real binary, which COMMAND_BINARY may name.
func built(t *testing.T) string {
	t.Helper()
	dir, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

var (
	wasBuilt bool
	build    = sync.OnceValues(buildBinary)
)

func buildBinary() (string, error) {
	if path := os.Getenv("COMMAND_BINARY"); path != "" {
		return filepath.Dir(path), nil
	}
	wasBuilt = true
	dir, err := os.MkdirTemp("", "reversehttp-cli-")
	if err != nil {
		return "", err
	}
	c := exec.Command("go", "build", "-o", filepath.Join(dir, "reversehttp"), ".")
	c.Stderr = os.Stderr
	return dir, c.Run()
}

// launched is the real binary, or a shell with it; it leads a process group.
type launched struct {
	t      *testing.T
	cmd    *exec.Cmd
	lines  *bufio.Scanner
	stderr buffer
	code   chan int
}

// launch runs a bash command line, with the binary in its path, until the test ends.
func launch(t *testing.T, l *lender, line string) *launched {
	t.Helper()
	p := &launched{t: t, cmd: exec.Command("bash", "-c", line), code: make(chan int, 1)}
	p.cmd.Env = append(os.Environ(), "PATH="+built(t)+":"+os.Getenv("PATH"), "REVERSEHTTP_GATEWAY="+l.origin)
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p.cmd.Stderr = &p.stderr
	out, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p.cmd.Stdout = in
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	in.Close()
	p.lines = bufio.NewScanner(out)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = p.cmd.Wait()
		p.code <- p.cmd.ProcessState.ExitCode()
	}()
	t.Cleanup(func() {
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
		<-ended
		out.Close()
	})
	return p
}

func (p *launched) signal(s syscall.Signal) {
	if err := syscall.Kill(-p.cmd.Process.Pid, s); err != nil {
		p.t.Error(err)
	}
}

func (p *launched) next(name string) seen {
	p.t.Helper()
	for p.lines.Scan() {
		e := seen{}
		if err := json.Unmarshal(p.lines.Bytes(), &e); err != nil {
			p.t.Fatalf("line is no JSON: %q", p.lines.Text())
		}
		if e.text("event") == name {
			return e
		}
	}
	p.t.Fatalf("no %s event; stderr: %s", name, p.stderr.String())
	return nil
}

func (p *launched) exit() int {
	p.t.Helper()
	select {
	case code := <-p.code:
		return code
	case <-time.After(patience):
		p.t.Fatal("the process has not ended")
		return 0
	}
}

func TestTheBinaryServesUntilASignal(t *testing.T) {
	t.Parallel()
	l := lend(t, hostShape, gateway.Options{})
	for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		p := launch(t, l, "exec reversehttp echo --label demo")
		url := p.next("claimed").text("url")
		resp, err := l.visitor(t).Post(url+"x", "text/plain", strings.NewReader("hello"))
		if got := content(t, resp, err); !strings.Contains(got, `"body":"hello"`) {
			t.Errorf("answer = %s %s", resp.Status, got)
		}
		p.next("exchange")
		p.signal(s)
		if e := p.next("ended"); e["exitCode"] != 0.0 {
			t.Errorf("event = %v", e)
		}
		if code := p.exit(); code != 0 || p.stderr.String() != "" {
			t.Errorf("%v: exit = %d %s", s, code, p.stderr.String())
		}
	}
}

func TestTheBinaryEndsAtOnceAtTheSecondSignal(t *testing.T) {
	asked := make(chan struct{})
	s := local(t, func(w http.ResponseWriter, r *http.Request) {
		close(asked)
		<-r.Context().Done()
	})
	l := lend(t, hostShape, gateway.Options{Times: claim.Times{NoPoller: 50 * time.Millisecond}})
	p := launch(t, l, "exec reversehttp forward "+s.URL)
	url := p.next("claimed").text("url")
	client, visited := l.visitor(t), make(chan struct{})
	go func() {
		defer close(visited)
		if resp, err := client.Get(url); err == nil {
			resp.Body.Close()
		}
	}()
	<-asked
	p.signal(syscall.SIGINT)
	p.next("state")
	p.signal(syscall.SIGINT)
	if code := p.exit(); code != exitCut {
		t.Errorf("exit = %d %s, want 6", code, p.stderr.String())
	}
	<-visited
}

func TestTheBinaryEndsWhenItsOutputIsClosed(t *testing.T) {
	l := lend(t, hostShape, gateway.Options{})
	p := launch(t, l, "set -o pipefail; reversehttp inbox --label hooks | head -n 1")
	hook(t, l, "hooks")
	// head may read the line of the first visitor, so only the following line finds no reader. A visitor that
	// comes while the process ends waits for another program, so the test waits for none.
	ctx, cancel := context.WithCancel(t.Context())
	var visitors sync.WaitGroup
	defer visitors.Wait()
	defer cancel()
	client, url := l.visitor(t), strings.Replace(l.origin, "localhost", "hooks.localhost", 1)
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	end := time.After(patience)
	for n, code := 0, -1; code != 0; {
		select {
		case <-end:
			t.Fatal("the process has not ended")
		case code = <-p.code:
			if code != 0 {
				t.Fatalf("exit = %d %s", code, p.stderr.String())
			}
		case <-again.C:
			if n++; n > 100 {
				continue
			}
			visitors.Go(func() {
				req, err := http.NewRequestWithContext(ctx, "POST", url, strings.NewReader("again"))
				if err != nil {
					return
				}
				if resp, err := client.Do(req); err == nil {
					_ = resp.Body.Close()
				}
			})
		}
	}
	l.claim(t, "echo", "--label", "hooks") // it was given up
}

func TestTheBinaryEndsWithTheCodeOfItsFailure(t *testing.T) {
	l := lend(t, hostShape, gateway.Options{})
	l.claim(t, "echo", "--label", "demo", "--token", "secret-of-demo")
	for line, want := range map[string]int{
		"exec reversehttp":                                   exitUsage,
		"exec reversehttp --help":                            exitDone,
		"exec reversehttp echo --label demo":                 exitRefused,
		"exec reversehttp echo --gateway http://127.0.0.1:1": exitUnreachable,
	} {
		if code := launch(t, l, line).exit(); code != want {
			t.Errorf("%s = %d, want %d", line, code, want)
		}
	}
}

func TestTheBinaryDrawsATableOnATerminal(t *testing.T) {
	if _, err := exec.LookPath("script"); err != nil {
		t.Skip("there is no script(1) here, which gives a terminal")
	}
	l := lend(t, hostShape, gateway.Options{})
	p := launch(t, l, `exec script -qefc 'stty cols 70 rows 20; NO_COLOR=1 exec reversehttp echo --label demo' /dev/null`)
	client := l.visitor(t)
	visited := make(chan struct{})
	go func() {
		defer close(visited)
		for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
			resp, err := client.Get(strings.Replace(l.origin, "localhost", "demo.localhost", 1) + "/table?" + strings.Repeat("x", 100))
			if err != nil {
				return
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			if resp.StatusCode == 200 {
				return
			}
		}
	}()
	var all string
	for p.lines.Scan() {
		line := p.lines.Text()
		all += line + "\n"
		if strings.Contains(line, " 200 ") && strings.Contains(line, "/table?") {
			if drawn := strings.Trim(strings.ReplaceAll(line, "\x1b[K", ""), "\r"); len(drawn) != 69 {
				t.Errorf("line of %d characters, want 69: %q", len(drawn), drawn)
			}
			break
		}
	}
	<-visited
	if !strings.Contains(all, "/table?") || !strings.Contains(all, "online") || !strings.Contains(all, "STATUS") {
		t.Errorf("screen: %q", all)
	}
}
