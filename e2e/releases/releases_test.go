package releases

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// before is the revision of the previous release.
const before = "1d0b242"

// patience is how long anything may take before a test gives up.
const patience = 5 * time.Minute

// A gateway serves programs of the previous release, which do not know links, and programs serve by a gateway of that
// release.
func TestThePreviousReleaseWorksWithThisOne(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	gateway, program := build(t, root, "./server"), build(t, root, "./sdk-go/cmd/reversehttp")
	if out, err := git(t, root, "cat-file", "-e", before+"^{commit}"); err != nil {
		t.Logf("the revision %s is not in this clone (%v %s): what knows nothing of links stands in for it", before, err, out)
		t.Run("the gateway offers no links", func(t *testing.T) {
			serves(t, pair{gateway: gateway, program: program, by: "by a framed stream", linkless: true})
		})
		t.Run("the program asks for no link", func(t *testing.T) {
			serves(t, pair{gateway: gateway, program: program, args: []string{"--transport", "framed"}, by: "by a framed stream"})
		})
		return
	}
	old := filepath.Join(t.TempDir(), "old")
	if err := os.Mkdir(old, 0o755); err != nil {
		t.Fatal(err)
	}
	archive := filepath.Join(t.TempDir(), "old.tar")
	if out, err := git(t, root, "archive", "-o", archive, before, "--", "go.mod", "go.sum", "schema", "sdk-go", "sdk-js", "server", "web"); err != nil {
		t.Fatalf("git archive: %v %s", err, out)
	}
	if out, err := exec.Command("tar", "-xf", archive, "-C", old).CombinedOutput(); err != nil {
		t.Fatalf("tar: %v %s", err, out)
	}
	oldGateway, oldProgram := build(t, old, "./server"), build(t, old, "./sdk-go/cmd/reversehttp")
	for name, p := range map[string]pair{
		"the gateway": {gateway: oldGateway, program: program, by: "by a framed stream"},
		"the program": {gateway: gateway, program: oldProgram, by: "by a framed stream"},
		"neither":     {gateway: gateway, program: program, by: "by a link"},
	} {
		t.Run(name+" is old", func(t *testing.T) { serves(t, p) })
	}
}

// pair is a gateway and a program that serves through it.
type pair struct {
	gateway, program string
	args             []string // of the program
	by               string   // the way of requests, as the program logs it
	linkless         bool     // the claims of the gateway have no link
}

func git(t *testing.T, root string, args ...string) (string, error) {
	out, err := exec.CommandContext(t.Context(), "git", append([]string{"-C", root}, args...)...).CombinedOutput()
	return string(out), err
}

// build builds a program, and returns its path.
func build(t *testing.T, root, name string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "program")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-o", path, name)
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build %s: %v\n%s", name, err, out)
	}
	return path
}

// freePort returns an unused port.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// withoutLinks starts a proxy for the gateway at a port, which removes the links from claims, and returns its port.
func withoutLinks(t *testing.T, port string) string {
	proxy := &httputil.ReverseProxy{FlushInterval: -1, Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(&url.URL{Scheme: "http", Host: "localhost:" + port})
		r.Out.Host = r.In.Host
	}}
	proxy.ModifyResponse = func(resp *http.Response) error {
		if resp.Request.URL.Path != "/claims" {
			return nil
		}
		var claimed map[string]json.RawMessage
		if err := json.NewDecoder(resp.Body).Decode(&claimed); err != nil {
			return err
		}
		delete(claimed, "link")
		content, err := json.Marshal(claimed)
		resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(content)), int64(len(content))
		resp.Header.Set("Content-Length", strconv.Itoa(len(content)))
		return err
	}
	front := httptest.NewServer(proxy)
	t.Cleanup(front.Close)
	_, own, _ := net.SplitHostPort(front.Listener.Addr().String())
	return own
}

// serves starts a gateway and a program, and checks the answers to visitors.
func serves(t *testing.T, p pair) {
	port := freePort(t)
	at := port
	if p.linkless {
		at = withoutLinks(t, port)
	}
	origin := "http://localhost:" + at
	files := t.TempDir()
	large := bytes.Repeat([]byte("0123456789abcdef"), 256<<10)
	if err := os.WriteFile(filepath.Join(files, "large"), large, 0o644); err != nil {
		t.Fatal(err)
	}
	lends := begin(t, p.gateway, "--listen", "127.0.0.1:"+port, "--public-url", origin+"/at/{label}/")
	await(t, lends, "the gateway listens", func() bool {
		resp, err := http.Get(origin + "/.well-known/reversehttp")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	log := begin(t, p.program, append([]string{"serve", files, "--gateway", origin, "--label", "demo", "--verbose"}, p.args...)...)
	await(t, log, "requests come "+p.by, func() bool { return log.has("requests come ") })
	if !log.has("requests come " + p.by) {
		t.Errorf("the program did not log that requests come %s", p.by)
	}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 4 {
				resp, err := http.Get(origin + "/at/demo/large")
				if err != nil {
					t.Error(err)
					return
				}
				got, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				if resp.StatusCode != 200 || err != nil || !bytes.Equal(got, large) {
					t.Errorf("visitor got %d, %d bytes and %v, want 200 and %d", resp.StatusCode, len(got), err, len(large))
				}
				resp, err = http.Get(origin + "/at/demo/none")
				if err != nil {
					t.Error(err)
					return
				}
				resp.Body.Close()
				if resp.StatusCode != 404 {
					t.Errorf("visitor got %d, want 404", resp.StatusCode)
				}
			}
		})
	}
	all.Wait()
}

// begin runs a program until the test ends, and returns its output.
func begin(t *testing.T, path string, args ...string) *transcript {
	t.Helper()
	cmd := exec.Command(path, args...)
	said := &transcript{}
	cmd.Stdout, cmd.Stderr = said, said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait()
		said.ended.Store(true)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		late := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
		<-ended
		late.Stop()
		if t.Failed() {
			t.Logf("%s:\n%s", filepath.Base(path), said.String())
		}
	})
	return said
}

// await waits for a condition while the program runs.
func await(t *testing.T, of *transcript, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) || of.ended.Load() {
			t.Fatalf("it did not happen that %s", what)
		}
	}
}

// transcript is the output of a program.
type transcript struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer

	ended atomic.Bool // whether the program has ended
}

func (s *transcript) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *transcript) has(text string) bool { return strings.Contains(s.String(), text) }

func (s *transcript) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
