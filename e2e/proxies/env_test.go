package proxies

import (
	"bufio"
	"context"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	reversehttp "reversehttp/sdk-go"
)

// roleProgram is the argument with which this test's binary serves the claim demo at an origin, with zero options. It
// is a process of its own because net/http reads the variables for proxies only once.
const roleProgram = "as-program"

// serveProgram prints "serving" once it has claimed, and serves until standard input ends.
func serveProgram(origin string) error {
	s, err := reversehttp.Claim(context.Background(), origin, &reversehttp.Options{Label: "demo"})
	if err != nil {
		return err
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(echo) }()
	os.Stdout.WriteString("serving\n")
	_, _ = io.Copy(io.Discard, os.Stdin)
	s.Close()
	<-served
	return nil
}

// startProgram starts the program with environment variables, until the test ends, and returns its first line.
func startProgram(t *testing.T, origin string, env ...string) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, roleProgram, origin)
	cmd.Env = append(env, "HOME="+t.TempDir())
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		cmd.Wait()
	})
	said, _ := bufio.NewReader(out).ReadString('\n')
	return strings.TrimSpace(said)
}

// For http: URLs the proxy is a plain one, which streams pass.
func TestHTTPProxyOfTheEnvironmentIsUsed(t *testing.T) {
	squid := startSquid(t, "")
	l := lend(t, "gateway.test", false, nil)
	if said := startProgram(t, "http://"+l.host, "HTTP_PROXY=http://"+squid.address); said != "serving" {
		t.Fatalf("the program says %q, want serving", said)
	}
	check(t, l)
	if n := l.count("stream"); n == 0 {
		t.Error("no stream was asked for")
	}
}

// For https: URLs the proxy gives a tunnel by CONNECT, which everything passes.
func TestHTTPSProxyOfTheEnvironmentPassesALink(t *testing.T) {
	squid := startSquid(t, "")
	l := lend(t, "gateway.test", true, nil)
	file := write(t, t.TempDir(), "cert.pem", pemOf(l.TLS.Certificates[0]))
	said := startProgram(t, "https://"+l.host, "HTTPS_PROXY=http://"+squid.address, "SSL_CERT_FILE="+file)
	if said != "serving" {
		t.Fatalf("the program says %q, want serving", said)
	}
	check(t, l)
	if links, streams, batches := l.count("link"), l.count("stream"), l.count("batch"); links == 0 || streams+batches != 0 {
		t.Errorf("%d links, %d streams and %d batches, want a link", links, streams, batches)
	}
}

// Only the proxy resolves gateway.test, so a program that connects directly fails.
func TestNoProxyOfTheEnvironmentIsHonoured(t *testing.T) {
	squid := startSquid(t, "")
	l := lend(t, "gateway.test", false, nil)
	said := startProgram(t, "http://"+l.host, "HTTP_PROXY=http://"+squid.address, "NO_PROXY=.test")
	if !strings.HasPrefix(said, "failed") {
		t.Errorf("the program says %q, want an error", said)
	}
}
