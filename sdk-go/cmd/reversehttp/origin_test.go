package main

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"reversehttp/server/gateway"
)

func TestForwardReachesAServerThatHasOnlyIPv6(t *testing.T) {
	t.Parallel()
	sock, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		t.Skip("there is no IPv6 here:", err)
	}
	serveOn(t, sock)
	_, port, _ := net.SplitHostPort(sock.Addr().String())
	l := lend(t, hostShape, gateway.Options{})
	for _, target := range []string{port, "localhost:" + port, "http://app.localhost:" + port, "http://[::1]:" + port} {
		resp, err := l.visitor(t).Get(l.claim(t, "forward", target).url)
		if got := content(t, resp, err); got != "here" {
			t.Errorf("%s: %s %q, want the server", target, resp.Status, got)
		}
	}
}

func TestForwardWaitsForAServerThatIsNotUpYet(t *testing.T) {
	sock, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := sock.Addr().String()
	sock.Close()
	l := lend(t, hostShape, gateway.Options{})
	r := l.claim(t, "forward", addr)
	answers := make(chan string, 2)
	for range 2 {
		go func() {
			resp, err := l.visitor(t).Post(r.url, "text/plain", strings.NewReader("x"))
			if err != nil {
				answers <- err.Error()
				return
			}
			b, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			answers <- string(b)
		}()
	}
	if x := r.next("state"); x.text("state") != "waiting" || !strings.Contains(x.text("detail"), "nothing listens at "+addr+" yet") {
		t.Errorf("event = %v, want that it waits", x)
	}
	if sock, err = net.Listen("tcp", addr); err != nil {
		t.Skip("somebody else took the port:", err)
	}
	stop := serveOn(t, sock)
	for range 2 {
		if got := <-answers; got != "here" {
			t.Errorf("answer = %q, want that of the server that came", got)
		}
	}
	stop()
	resp, err := l.visitor(t).Get(r.url)
	if content(t, resp, err); resp.StatusCode != 502 {
		t.Errorf("after it has gone: %s, want 502 at once", resp.Status)
	}
	for ended := 0; ended < 3; {
		x := <-r.events
		switch {
		case x.text("event") == "state":
			t.Errorf("event = %v, want one word about it in all", x)
		case x.text("event") == "exchange":
			ended++
		}
	}
}

// serveOn answers every request on a socket until the test ends, or until it is stopped.
func serveOn(t *testing.T, l net.Listener) (stop func()) {
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "here") })}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = s.Serve(l)
	}()
	stop = func() {
		s.Close()
		<-served
	}
	t.Cleanup(stop)
	return stop
}
