package admin

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"reversehttp/schema"
)

// patience is how long anything may take before a test gives up.
const patience = 10 * time.Minute

// operated is a port that is served until the test ends.
type operated struct {
	t    *testing.T
	at   string
	port *Port
}

// operate serves an API.
func operate(t *testing.T, a *API, o Options) *operated {
	t.Helper()
	if a.Metrics == nil {
		a.Metrics = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "reversehttp_claims 7\n") })
	}
	if a.Ready == nil {
		a.Ready = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }
	}
	a.Log, a.Panicked = slog.New(slog.DiscardHandler), func() {}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := NewPort(a, o)
	p.Serve(l)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		p.Close(ctx)
	})
	return &operated{t: t, at: l.Addr().String(), port: p}
}

// connect connects to the port.
func (o *operated) connect() net.Conn {
	o.t.Helper()
	c, err := net.Dial("tcp", o.at)
	if err != nil {
		o.t.Fatal(err)
	}
	o.t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	return c
}

// ask sends a request with fields, and returns the status, the content and the code of a problem.
func (o *operated) ask(method, target, host string, fields ...string) (status int, content string, code schema.Code) {
	o.t.Helper()
	c := o.connect()
	defer func() { _ = c.Close() }()
	head := method + " " + target + " HTTP/1.1\r\nConnection: close\r\nHost: " + host + "\r\n"
	for _, f := range fields {
		head += f + "\r\n"
	}
	if _, err := io.WriteString(c, head+"\r\n"); err != nil {
		o.t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		o.t.Fatalf("%s %s: %v", method, target, err)
	}
	all, err := io.ReadAll(resp.Body)
	if err != nil {
		o.t.Fatal(err)
	}
	var p schema.Problem
	_ = json.Unmarshal(all, &p)
	return resp.StatusCode, string(all), p.Code
}

func TestAPageThatRebindsItsNameReachesNoOperatorsPort(t *testing.T) {
	o := operate(t, &API{}, Options{Name: "Gateway.internal"})
	for host, want := range map[string]int{
		"127.0.0.1:9090": 200, "localhost": 200, "metrics.localhost:1": 200, "[::1]:9090": 200, "192.0.2.1": 200, "gateway.internal:9090": 200, "GATEWAY.internal.": 200,
		"evil.example": 421, "evil.example:9090": 421, "localhost.evil.example": 421, "gateway.internal.evil.example": 421, "127.0.0.1.evil.example": 421, "": 421,
	} {
		for _, target := range []string{"/metrics", "/healthz", "/debug/pprof/cmdline", "/nothing"} {
			status, content, code := o.ask("GET", target, host)
			if refused := code == schema.CodeWrongHost; refused != (want == 421) || refused && strings.Contains(content, "reversehttp_") {
				t.Errorf("GET %s at %q = %d %s, refused: %v", target, host, status, code, refused)
			}
		}
		if status, _, _ := o.ask("GET", "/metrics", host); status != want {
			t.Errorf("GET /metrics at %q = %d, want %d", host, status, want)
		}
	}
}

func TestPagesAreNotServedByTheOperatorsPort(t *testing.T) {
	o := operate(t, &API{}, Options{})
	for _, c := range []struct {
		field string
		want  int
	}{
		{"Origin: http://evil.example", 403}, {"Origin: null", 403}, {"Origin: http://localhost:8080", 403}, {"Origin: http://127.0.0.1:9090", 403},
		{"Sec-Fetch-Site: cross-site", 403}, {"Sec-Fetch-Site: same-site", 403}, {"Sec-Fetch-Site: none", 200}, {"Sec-Fetch-Site: same-origin", 200}, {"Accept: */*", 200},
	} {
		for _, method := range []string{"GET", "OPTIONS", "POST"} {
			status, _, code := o.ask(method, "/metrics", "127.0.0.1", c.field)
			if refused := status == 403 && code == schema.CodeOriginRefused; refused != (c.want == 403) {
				t.Errorf("%s with %s = %d %s, want %d", method, c.field, status, code, c.want)
			}
		}
	}
	c := o.connect()
	_, _ = io.WriteString(c, "OPTIONS /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nOrigin: http://a.example\r\nAccess-Control-Request-Method: GET\r\n\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp.Header.Get("Access-Control-Allow-Origin") != "" || resp.StatusCode < 400 {
		t.Errorf("a preflight = %d %v", resp.StatusCode, resp.Header)
	}
}

func TestTheOperatorsKeyIsNeeded(t *testing.T) {
	const key = "k-0123456789abcdef"
	o := operate(t, &API{}, Options{Key: key})
	if status, _, code := o.ask("GET", "/metrics", "localhost"); status != 401 || code != schema.CodeKeyNeeded {
		t.Errorf("without a key = %d %s, want 401", status, code)
	}
	if status, content, _ := o.ask("GET", "/metrics", "localhost", "Authorization: Bearer "+key); status != 200 || !strings.Contains(content, "reversehttp_claims 7") {
		t.Errorf("with the key = %d %s, want the figures", status, content)
	}
	for range 10 {
		if status, content, code := o.ask("GET", "/metrics", "localhost", "Authorization: Bearer wrong"); status != 403 || code != schema.CodeKeyWrong || strings.Contains(content, "wrong\"") && strings.Contains(content, key) {
			t.Fatalf("with a wrong key = %d %s, want 403", status, code)
		}
	}
	if status, _, code := o.ask("GET", "/metrics", "localhost", "Authorization: Bearer "+key); status != 429 || code != schema.CodeRateLimited {
		t.Errorf("after ten wrong keys = %d %s, want 429", status, code)
	}
}

func TestIdleConnectionsDoNotKeepTheOperatorOut(t *testing.T) {
	o := operate(t, &API{}, Options{})
	for range 2 * mostConnections {
		o.connect()
	}
	if status, _, _ := o.ask("GET", "/metrics", "localhost"); status != 200 {
		t.Errorf("beside idle connections = %d, want 200", status)
	}
}

func TestProfilesAreBounded(t *testing.T) {
	o := operate(t, &API{}, Options{})
	for target, want := range map[string]int{
		"/debug/pprof/profile?seconds=121": 400, "/debug/pprof/trace?seconds=1e9": 400, "/debug/pprof/heap?seconds=NaN": 400, "/debug/pprof/heap?seconds=-1": 400,
		"/debug/pprof/goroutine?debug=1": 200, "/debug/pprof/": 200, "/debug/pprof/cmdline": 404, "/nothing": 404,
	} {
		if status, content, _ := o.ask("GET", target, "localhost"); status != want {
			t.Errorf("GET %s = %d %.200s, want %d", target, status, content, want)
		}
	}
}

func TestAProxyAsksWhetherAHostIsServed(t *testing.T) {
	o := operate(t, &API{Serves: func(host string) bool { return host == "demo.example.com" }}, Options{})
	for query, want := range map[string]int{"?domain=demo.example.com": 204, "?domain=other.example.com": 404, "?domain=": 404, "": 404} {
		resp, err := http.Get("http://" + o.at + "/serves" + query)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("/serves%s = %d, want %d", query, resp.StatusCode, want)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}
