package cluster

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/evanw/esbuild/pkg/api"

	"reversehttp/e2e/cluster/check"
	reversehttp "reversehttp/sdk-go"
)

// client returns a client each of whose requests goes to another node than the one before.
func (c *Nodes) client() *http.Client {
	return dialing(c.Balancer.Address())
}

// dialing returns a client each of whose requests has a connection of its own to an address.
func dialing(address string) *http.Client {
	return &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, address)
	}}}
}

// line leads to a node as long as that takes connections, and otherwise to any.
type line struct {
	c  *Nodes
	to atomic.Pointer[Node]
}

// lead returns a line to a node.
func (c *Nodes) lead(to *Node) *line {
	l := &line{c: c}
	l.to.Store(to)
	return l
}

// client returns a client whose requests go by the line.
func (l *line) client() *http.Client {
	return &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, l.to.Load().Address)
		if err != nil {
			conn, err = new(net.Dialer).DialContext(ctx, network, l.c.Balancer.Address())
		}
		return conn, err
	}}}
}

// token is that of all claims of a test that do not say otherwise.
const token = "a-token-of-the-test"

// serve serves a label until the test ends.
func serve(t *testing.T, c *Nodes, label string, handler http.HandlerFunc) {
	t.Helper()
	serveBy(t, c, c.client(), label, handler)()
}

// serveBy claims a label by a client. The function that it returns begins to serve it until the test ends.
func serveBy(t *testing.T, c *Nodes, client *http.Client, label string, handler http.HandlerFunc) (begin func()) {
	t.Helper()
	s, err := reversehttp.Claim(t.Context(), c.URL(), &reversehttp.Options{Label: label, Token: token, Client: client, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return func() { untilTheEnd(t, s, handler) }
}

// untilTheEnd has a session serve until the test ends.
func untilTheEnd(t *testing.T, s *reversehttp.Session, handler http.HandlerFunc) {
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = s.Serve(handler)
	}()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = s.Shutdown(ctx)
		<-served
	})
}

func echo(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) }

// recorded returns a handler that answers with the id and content of a request, and records both.
func recorded(to *check.Recorder) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		id, info := r.Header.Get("Request-Id"), reversehttp.RequestInfo(r.Context())
		to.Record(check.Event{Kind: check.Begin, ID: id, Exchange: info.ID, Attempt: info.Attempt})
		content, _ := io.ReadAll(r.Body)
		answer := id + " " + string(content)
		to.Record(check.Event{Kind: check.Answer, ID: id, Exchange: info.ID, Content: answer})
		_, _ = io.WriteString(w, answer)
	}
}

// claimAt asks a node for a label, and returns the status and the code of a problem.
func claimAt(ctx context.Context, at *Node, label, token string, lease int) (status int, code string, err error) {
	body, err := json.Marshal(map[string]any{"label": label, "token": token, "lease": lease})
	if err != nil {
		return 0, "", err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+at.Address+"/claims", bytes.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	r.Host = "localhost"
	r.Header.Set("Content-Type", "application/json")
	resp, err := dialing(at.Address).Do(r)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	var problem struct {
		Code string `json:"code"`
	}
	_ = json.NewDecoder(resp.Body).Decode(&problem) // the status says whether it is one
	return resp.StatusCode, problem.Code, nil
}

// serveByJS serves labels by the SDK for JavaScript until the test ends, and returns what has its
// history by then.
func serveByJS(t *testing.T, c *Nodes, labels ...string) *bytes.Buffer {
	t.Helper()
	source, err := filepath.Abs("../../sdk-js/src/index.ts")
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(t.TempDir(), "program.mjs")
	built := api.Build(api.BuildOptions{
		EntryPoints: []string{"program.js"}, Outfile: program, Bundle: true, Write: true, Platform: api.PlatformNode, Format: api.FormatESModule, Target: api.ES2022,
		Alias: map[string]string{"reversehttp": source},
	})
	if len(built.Errors) > 0 {
		t.Fatal(built.Errors)
	}
	node := exec.Command("node", append([]string{program, c.URL()}, labels...)...)
	node.Stderr = os.Stderr
	in, err := node.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := node.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := node.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	if _, err := lines.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	history := new(bytes.Buffer)
	read := make(chan struct{})
	go func() {
		defer close(read)
		_, _ = io.Copy(history, lines)
	}()
	t.Cleanup(func() {
		_ = in.Close()
		<-read
		if err := node.Wait(); err != nil {
			t.Error(err)
		}
	})
	return history
}
