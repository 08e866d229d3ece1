package main

import (
	"bufio"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

func TestTheBinaryRunsAGateway(t *testing.T) {
	t.Parallel()
	cmd := exec.Command(filepath.Join(built(t), "reversehttp"), "gateway", "--listen", "127.0.0.1:0")
	var stderr buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	lines := bufio.NewScanner(out)
	if !lines.Scan() {
		t.Fatalf("it printed nothing; stderr: %s", stderr.String())
	}
	m := regexp.MustCompile(`^ReverseHttp console: (http://localhost:\d+/)  public URLs: `).FindStringSubmatch(lines.Text())
	if m == nil {
		t.Fatalf("it printed %q, want the URL of its console", lines.Text())
	}
	p := launch(t, &lender{origin: strings.TrimSuffix(m[1], "/")}, "exec reversehttp echo --label demo")
	url := p.next("claimed").text("url")
	if want := strings.Replace(m[1], "localhost", "demo.localhost", 1); url != want {
		t.Errorf("url = %s, want %s", url, want)
	}
	p.signal(syscall.SIGINT)
	if code := p.exit(); code != exitDone {
		t.Errorf("exit = %d %s", code, p.stderr.String())
	}
	_ = cmd.Process.Signal(syscall.SIGHUP) // does not end a gateway
	resp, err := http.Get(m[1] + "healthz")
	if err != nil || resp.StatusCode != http.StatusNoContent {
		t.Errorf("health after SIGHUP = %v, %v, want 204", resp, err)
	}
	if err == nil {
		resp.Body.Close()
	}
	http.DefaultClient.CloseIdleConnections()
	_ = cmd.Process.Signal(syscall.SIGTERM)
	if err := cmd.Wait(); err != nil {
		t.Errorf("the gateway ended with %v: %s", err, stderr.String())
	}
}

func TestTheGatewayTakesNoFlagOfOtherCommands(t *testing.T) {
	var stdout, stderr buffer
	if code := run([]string{"--label", "x", "gateway", "--listen", ":0"}, nil, &stdout, &stderr); code != exitUsage || !strings.Contains(stderr.String(), "give them after it") {
		t.Errorf("exit = %d, %q, want %d and what to do", code, stderr.String(), exitUsage)
	}
	out, err := exec.Command(filepath.Join(built(t), "reversehttp"), "gateway", "--help").CombinedOutput()
	if err != nil || !strings.HasPrefix(string(out), "Usage: reversehttp gateway [flags]\n") || !strings.Contains(string(out), "--public-url") {
		t.Errorf("help = %.200s, %v", out, err)
	}
	c := exec.Command(filepath.Join(built(t), "reversehttp"), "gateway", "--listen", "nowhere")
	c.Env = os.Environ()
	if out, err := c.CombinedOutput(); c.ProcessState.ExitCode() != exitUsage {
		t.Errorf("a wrong flag = %s, %v, want exit code %d", out, err, exitUsage)
	}
}
