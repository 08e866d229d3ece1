package main

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"reversehttp/server/gateway"
)

func TestTheLineHasTheStatusThatTheVisitorGot(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 65<<10)
	for _, c := range []struct {
		name, answer  string // if it ends in wait, nothing follows
		fault, detail string
	}{
		{"999", "HTTP/1.1 999 Denied\r\nContent-Length: 4\r\n\r\nnope", "with the status 999", "with the status 999"},
		{"600", "HTTP/1.1 600 X\r\nContent-Length: 0\r\n\r\n", "with the status 600", "with the status 600"},
		{"099", "HTTP/1.1 099 X\r\nContent-Length: 0\r\n\r\n", "with the status 099", "with the status 099"},
		{"large", "HTTP/1.1 200 OK\r\nX-A: " + long + "\r\nContent-Length: 0\r\n\r\n", "with 2 fields of 6", "with 2 fields of 6"},
		{"many", "HTTP/1.1 200 OK\r\n" + strings.Repeat("X-A: 1\r\n", 300) + "Content-Length: 0\r\n\r\n", "with 301 fields", "with 301 fields"},
		{"control", "HTTP/1.1 200 OK\r\nX-A: a\x01b\r\nContent-Length: 0\r\n\r\n", "malformed MIME header", "proper answer"},
		{"short", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello", "cut short", ""},
		{"none", "", "closed the connection without an answer", "proper answer"},
		{"late", "wait", "no answer in time", ""},
		{"late with some", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhellowait", "", ""},
		{"599", "HTTP/1.1 599 X\r\nContent-Length: 0\r\n\r\n", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			ended := make(chan struct{})
			answer, waits := strings.CutSuffix(c.answer, "wait")
			b := serveBare(t, func(string) string { return answer }, func(net.Conn) {
				if waits {
					<-ended
				}
			})
			defer close(ended)
			timeout := patience
			if waits {
				timeout = time.Second
			}
			for _, transport := range []string{"poll", "link"} {
				l := lend(t, hostShape, gateway.Options{})
				r := l.claim(t, "forward", b.url(), "--transport", transport, "--timeout", timeout.String())
				resp, err := l.visitor(t).Get(r.url)
				if err != nil {
					t.Fatal(err)
				}
				var body []byte
				if c.name != "late with some" { // lasts until it is ended
					body, _ = io.ReadAll(resp.Body) // may be cut short
				}
				resp.Body.Close()
				x := r.next("exchange")
				if x["status"] != float64(resp.StatusCode) || !strings.Contains(x.text("error"), c.fault) || (x.text("error") != "") != (c.fault != "" || waits) {
					t.Errorf("%s: the visitor got %s %.200s, the line says %v, want the same status and %q", transport, resp.Status, body, x, c.fault)
				}
				if !strings.Contains(string(body), c.detail) {
					t.Errorf("%s: the visitor got %s %.200s, want the reason %q", transport, resp.Status, body, c.detail)
				}
			}
		})
	}
}

func TestTheLineHasTheHintForDevelopmentServers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		status int
		says   string
		args   []string
		hints  bool
	}{
		{403, "Blocked request. This host (\"app.example\") is not allowed.\nTo allow this host, add \"app.example\" to `server.allowedHosts` in vite.config.js.", nil, true},
		{403, "Invalid Host header", nil, true},
		{400, "<h1>DisallowedHost</h1><pre>Invalid HTTP_HOST header: 'app.example'.", nil, true},
		{403, "<h1>Blocked hosts: app.example</h1>", nil, true},
		{403, "Invalid Host header", []string{"--host-header=rewrite"}, false}, // the flag is already set
		{403, "Not yours.", nil, false},
		{200, "Invalid Host header", nil, false},
	} {
		s := local(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(c.status)
			_, _ = io.WriteString(w, c.says)
		})
		l := lend(t, hostShape, gateway.Options{})
		r := l.claim(t, append([]string{"forward", s.URL}, c.args...)...)
		resp, err := l.visitor(t).Get(r.url)
		if got := content(t, resp, err); resp.StatusCode != c.status || got != c.says {
			t.Errorf("answer = %s %q, want it as it was", resp.Status, got)
		}
		if x := r.next("exchange"); strings.Contains(x.text("error"), "--host-header rewrite") != c.hints {
			t.Errorf("%d %q: event = %v, want a hint: %v", c.status, c.says, x, c.hints)
		}
	}
}
