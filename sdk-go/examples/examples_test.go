package examples

import (
	"bufio"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"reversehttp/server/gateway"
)

// lend runs a gateway until the test ends. Its claims share one host, which every machine resolves.
func lend(t *testing.T) (origin string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	origin = "http://" + l.Addr().String()
	g, err := gateway.New(gateway.Options{PublicURL: origin + "/at/{label}/", Loopback: true})
	if err != nil {
		t.Fatal(err)
	}
	server, served := g.Server(), make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(gateway.Listen(l))
	}()
	t.Cleanup(func() {
		_ = server.Close()
		<-served
		g.Close()
	})
	return origin
}

// program is a running example.
type program struct {
	*exec.Cmd
	lines *bufio.Scanner
}

// start builds an example, and runs it until the test ends.
func start(t *testing.T, name string, args ...string) *program {
	t.Helper()
	binary := filepath.Join(t.TempDir(), name)
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "./"+name).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	cmd := exec.Command(binary, args...)
	cmd.Stderr = t.Output()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		_ = cmd.Wait()
	})
	return &program{cmd, bufio.NewScanner(out)}
}

func (p *program) line(t *testing.T) string {
	t.Helper()
	if !p.lines.Scan() {
		t.Fatalf("nothing more is printed: %v", p.lines.Err())
	}
	return p.lines.Text()
}

// ask returns the status and content of an answer.
func ask(t *testing.T, r *http.Request, err error) (int, string) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	content, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(content)
}

func TestHelloAnswers(t *testing.T) {
	p := start(t, "hello", lend(t))
	r, err := http.NewRequest("GET", p.line(t)+"you", nil)
	if status, content := ask(t, r, err); status != 200 || content != "hello from Go: GET /you\n" {
		t.Errorf("%d %q", status, content)
	}
}

func TestPrivateLetsItsFriendsIn(t *testing.T) {
	p := start(t, "private", lend(t))
	at, token := p.line(t), p.line(t)
	for shown, want := range map[string]int{"": 401, "Bearer wrong-" + token: 401, "Bearer " + token: 200} {
		r, err := http.NewRequest("GET", at, nil)
		if shown != "" {
			r.Header.Set("Authorization", shown)
		}
		if status, content := ask(t, r, err); status != want {
			t.Errorf("%q: %d %q, want %d", shown, status, content, want)
		}
	}
}

func TestAnAgentCallsTheToolOfMCP(t *testing.T) {
	p := start(t, "mcp", lend(t))
	client := mcp.NewClient(&mcp.Implementation{Name: "agent", Version: "1.0.0"}, nil)
	session, err := client.Connect(t.Context(), &mcp.StreamableClientTransport{Endpoint: p.line(t)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	got, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "most", Arguments: map[string]any{"sides": []int{6, 20}}})
	if err != nil || got.IsError || fmt.Sprint(got.StructuredContent) != "map[most:26]" {
		t.Errorf("%+v, %v", got, err)
	}
}

// The test is the hub: it verifies the subscriber's intent, and sends content with and without a signature.
func TestWebSubPrintsWhatTheHubSends(t *testing.T) {
	const topic = "https://feeds.example/all"
	subscribed := make(chan url.Values, 1)
	hub := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			t.Error(err)
		}
		subscribed <- r.PostForm
		w.WriteHeader(http.StatusAccepted)
	}))
	defer hub.Close()
	p := start(t, "websub", lend(t), hub.URL, topic)
	asked := <-subscribed
	callback := asked.Get("hub.callback")
	for of, want := range map[string]int{topic: 200, "https://feeds.example/other": 404} {
		r, err := http.NewRequest("GET", callback+"?"+url.Values{"hub.mode": {"subscribe"}, "hub.topic": {of}, "hub.challenge": {"c1"}}.Encode(), nil)
		if status, content := ask(t, r, err); status != want || want == 200 && content != "c1" {
			t.Errorf("%s: %d %q, want %d", of, status, content, want)
		}
	}
	for secret, want := range map[string]int{"another": 401, asked.Get("hub.secret"): 200} {
		h := hmac.New(sha256.New, []byte(secret))
		h.Write([]byte("<feed/>"))
		r, err := http.NewRequest("POST", callback, strings.NewReader("<feed/>"))
		r.Header.Set("X-Hub-Signature", "sha256="+hex.EncodeToString(h.Sum(nil)))
		if status, content := ask(t, r, err); status != want {
			t.Errorf("%d %q, want %d", status, content, want)
		}
	}
	if got := p.line(t); got != "<feed/>" {
		t.Errorf("printed %q", got)
	}
}

func TestApprovalEndsAsAPersonDecides(t *testing.T) {
	for decision, code := range map[string]int{"approved": 0, "refused": 1} {
		p := start(t, "approval", lend(t))
		at := p.line(t)
		r, err := http.NewRequest("GET", at, nil)
		if status, content := ask(t, r, err); status != 200 || !strings.Contains(content, "May it go on?") {
			t.Errorf("%d %q", status, content)
		}
		// The wait may begin a moment after the URL is printed.
		for deadline := time.Now().Add(10 * time.Minute); ; time.Sleep(10 * time.Millisecond) {
			r, err := http.NewRequest("GET", at+"decision", nil)
			if status, _ := ask(t, r, err); status == 404 {
				break
			}
			if time.Now().After(deadline) {
				t.Fatal("it does not wait")
			}
		}
		r, err = http.NewRequestWithContext(context.Background(), "POST", at+"decision", strings.NewReader("decision="+decision))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if status, content := ask(t, r, err); status != 200 || !strings.Contains(content, "You can close this page") {
			t.Errorf("%d %q", status, content)
		}
		if got := p.line(t); got != decision {
			t.Errorf("printed %q, want %s", got, decision)
		}
		_ = p.Wait() // the code says how it ended
		if got := p.ProcessState.ExitCode(); got != code {
			t.Errorf("%s: exit code %d, want %d", decision, got, code)
		}
	}
}
