package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"reversehttp/server/gateway"
)

// serveH2C runs a server that speaks only HTTP/2 without TLS, like gRPC servers.
//
// With eager it sends its first frame at once, like grpc-go; otherwise it waits for the preface, like
// net/http.
func serveH2C(t *testing.T, eager bool, h http.HandlerFunc) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if eager {
		before := aloneTimeout
		aloneTimeout = patience
		t.Cleanup(func() { aloneTimeout = before })
		var running sync.WaitGroup
		accepting := make(chan struct{})
		go func() {
			defer close(accepting)
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				running.Go(func() {
					//lint:ignore SA1019 a server of net/http waits for the preface
					new(http2.Server).ServeConn(c, &http2.ServeConnOpts{Handler: h, BaseConfig: &http.Server{ErrorLog: quiet}})
				})
			}
		}()
		t.Cleanup(func() {
			l.Close()
			<-accepting
			running.Wait()
		})
		return l.Addr().String()
	}
	s := &http.Server{Handler: h, Protocols: new(http.Protocols), ErrorLog: quiet}
	s.Protocols.SetUnencryptedHTTP2(true)
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = s.Serve(l)
	}()
	t.Cleanup(func() {
		s.Close()
		<-served
	})
	return l.Addr().String()
}

// converse echoes each line at once, and reports in trailers how many there were, and the request.
func converse(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/grpc")
	w.Header().Set("Trailer", "Grpc-Status, Asked")
	in := bufio.NewReader(r.Body)
	for n := 0; ; n++ {
		line, err := in.ReadString('\n')
		if _, failed := io.WriteString(w, line); failed != nil {
			return
		}
		_ = http.NewResponseController(w).Flush()
		if err != nil {
			w.Header().Set("Grpc-Status", fmt.Sprint(n))
			w.Header().Set("Asked", r.Proto+" "+r.Method+" "+r.RequestURI)
			return
		}
	}
}

func TestForwardSpeaksHTTP2WithAServerThatSpeaksNothingElse(t *testing.T) {
	for _, c := range []struct {
		eager bool
		flags []string
	}{{false, []string{"--h2c"}}, {true, []string{"--h2c"}}, {true, nil}, {true, []string{"--transport=poll"}}, {true, []string{"--transport=stream"}}, {false, nil}} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			addr := serveH2C(t, c.eager, converse)
			l := lend(t, hostShape, gateway.Options{})
			for _, v := range []struct{ method, target, kind, sent string }{
				{"GET", "/", "", ""},
				{"GET", "//a%2Fb|c?d", "", ""},
				{"POST", "/a%2Fb|c", "application/grpc+proto", "one\ntwo\n"},
				{"POST", "/a%2Fb|c", "", "one\ntwo\n"},
				{"POST", "/", "", strings.Repeat("x", 60<<10) + "\n"},
			} {
				if !c.eager && c.flags == nil && v.kind == "" && v.sent != "" {
					continue // see below
				}
				// Each command detects the protocol anew.
				r := l.claim(t, append([]string{"forward", "http://" + addr}, c.flags...)...)
				req, err := http.NewRequest(v.method, r.url, strings.NewReader(v.sent))
				if err != nil {
					t.Fatal(err)
				}
				req.Header.Set("Content-Type", v.kind)
				host, _ := publicOf(r.url)
				req.URL.Opaque = "//" + host + v.target // in absolute-form
				resp, err := l.visitor(t).Do(req)
				if err != nil {
					t.Fatal(err)
				}
				got := content(t, resp, err)
				lines, asked := fmt.Sprint(strings.Count(v.sent, "\n")), "HTTP/2.0 "+v.method+" "+v.target
				if resp.StatusCode != 200 || got != v.sent || resp.Trailer.Get("Grpc-Status") != lines || resp.Trailer.Get("Asked") != asked {
					t.Errorf("%v: %s %s = %s %.99q, trailers %q, want all that was sent, %s lines and %q", c, v.method, v.target, resp.Status, got, resp.Trailer, lines, asked)
				}
				if x := r.next("exchange"); x.text("error") != "" {
					t.Errorf("%v: event = %v, want no error", c, x)
				}
			}
		})
	}
}

// The server may also speak HTTP/1.1, and may have begun to handle the unanswered request.
func TestForwardDoesNotRepeatARequestThatTheServerClosed(t *testing.T) {
	addr := serveH2C(t, false, converse)
	l := lend(t, hostShape, gateway.Options{})
	r := l.claim(t, "forward", "http://"+addr)
	for _, want := range []int{502, 200, 200} {
		resp, err := l.visitor(t).Post(r.url, "text/plain", strings.NewReader("one\n"))
		content(t, resp, err)
		if x := r.next("exchange"); resp.StatusCode != want || want == 502 != strings.Contains(x.text("error"), "speaks HTTP/2 only, and is asked so from now on") {
			t.Errorf("POST = %s, event = %v, want %d and the reason", resp.Status, x, want)
		}
	}
}

// Each line is answered before the next is sent, and the protocol is detected in the middle of the first.
func TestForwardStreamsInBothDirectionsByHTTP2(t *testing.T) {
	addr := serveH2C(t, true, converse)
	l := lend(t, hostShape, gateway.Options{})
	r := l.claim(t, "forward", "http://"+addr)
	for range 2 {
		out, in := io.Pipe()
		req, err := http.NewRequest("POST", r.url, out)
		if err != nil {
			t.Fatal(err)
		}
		go func() { _, _ = io.WriteString(in, "line 0\n") }()
		resp, err := l.visitor(t).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewReader(resp.Body)
		for n := range 5 {
			if got, err := lines.ReadString('\n'); got != fmt.Sprintf("line %d\n", n) {
				t.Fatalf("line %d = %q %v", n, got, err)
			}
			fmt.Fprintf(in, "line %d\n", n+1)
		}
		in.Close()
		if _, err := io.ReadAll(lines); err != nil || resp.Trailer.Get("Grpc-Status") != "6" {
			t.Errorf("the end: %v, trailers %q, want 6 lines", err, resp.Trailer)
		}
		resp.Body.Close()
	}
}

func TestForwardSaysWhichHTTPTheServerSpeaks(t *testing.T) {
	framed := serveH2C(t, true, converse)
	plain := strings.TrimPrefix(local(t, func(http.ResponseWriter, *http.Request) {}).URL, "http://")
	const upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
	for _, c := range []struct {
		args   []string
		fields string
		fault  string
	}{
		{[]string{plain, "--h2c"}, "", "does not speak HTTP/2 without TLS: leave --h2c out"},
		{[]string{framed, "--h2c"}, upgrade, "no WebSocket is relayed"},
		{[]string{framed}, upgrade, "no WebSocket is relayed"},
	} {
		l := lend(t, hostShape, gateway.Options{})
		r := l.claim(t, append([]string{"forward"}, c.args...)...)
		host, _ := publicOf(r.url)
		conn, err := net.Dial("tcp", l.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(patience))
		fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: %s\r\n%s\r\n", host, c.fields)
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		if x := r.next("exchange"); resp.StatusCode != 502 || x["status"] != 502.0 || !strings.Contains(x.text("error"), c.fault) || strings.ContainsRune(x.text("error"), '\x00') {
			t.Errorf("%v: %s, event = %v, want 502 and %q", c.args, resp.Status, x, c.fault)
		}
	}
	if code := run([]string{"forward", "https://localhost:1", "--h2c"}, nil, io.Discard, io.Discard); code != exitUsage {
		t.Errorf("--h2c and https = %d, want %d", code, exitUsage)
	}
}
