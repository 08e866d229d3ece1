package main

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"reversehttp/server/gateway"
)

// bare is a local server that answers with exact bytes, one request for each connection, and notes the heads
// of requests.
type bare struct {
	net.Listener
	heads chan string
	after []func(net.Conn) // called after an answer was written
}

// serveBare answers every request with the bytes that answer returns. It does not read content.
func serveBare(t *testing.T, answer func(head string) string, after ...func(net.Conn)) *bare {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &bare{Listener: l, heads: make(chan string, 1000), after: after}
	ended := make(chan struct{})
	t.Cleanup(func() {
		l.Close()
		<-ended
	})
	go func() {
		defer close(ended)
		var running sync.WaitGroup
		defer running.Wait()
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() { b.serve(c, answer) })
		}
	}()
	return b
}

func (b *bare) serve(c net.Conn, answer func(head string) string) {
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	in := bufio.NewReader(c)
	var head strings.Builder
	for {
		line, err := in.ReadString('\n')
		head.WriteString(line)
		if err != nil {
			return
		}
		if line == "\r\n" {
			break
		}
	}
	b.heads <- head.String()
	_, _ = io.WriteString(c, answer(head.String()))
	for _, f := range b.after {
		f(c)
	}
}

func (b *bare) url() string { return "http://" + b.Addr().String() }

// line returns the request line of the next head.
func (b *bare) line(t *testing.T) string {
	t.Helper()
	select {
	case head := <-b.heads:
		line, _, _ := strings.Cut(head, "\r\n")
		return line
	case <-time.After(patience):
		t.Fatal("no request reached the local server")
		return ""
	}
}

const nothing = "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"

// publicOf splits a public URL into its host and its path without the final slash.
func publicOf(url string) (host, path string) {
	host, path, _ = strings.Cut(strings.TrimPrefix(url, "http://"), "/")
	return host, strings.TrimSuffix("/"+path, "/")
}

func TestForwardAsksForTheTargetByteForByte(t *testing.T) {
	t.Parallel()
	few := []string{
		"/", "/a%2Fb|c", "/repos/%40scope%2Fpkg/{id}", "/a%3Bb|c", "//a%2Fb|c", "//x/%zz", "//x%2Fy", "/%zz?a=%zz;b", "/?", "//?", "/a/./b/..//c?", "/a?b#c", "/%7e%7E", "/http://x/|",
		"//" + strings.Repeat("x", 5000) + "|%2F",
	}
	var every []string // every character except the space, which ends a target
	for c := byte('!'); c != 0; c++ {
		if c != '?' && c != 0x7f {
			every = append(every, "/a%2Fb%3b"+string([]byte{c})+"c?d%2Fe"+string([]byte{c}))
		}
	}
	b := serveBare(t, func(string) string { return nothing })
	for _, shape := range []string{hostShape, pathShape} {
		l := lend(t, shape, gateway.Options{})
		for _, transport := range []string{"poll", "stream", "framed", "link"} {
			for _, below := range []string{"", "/app%2F|x"} {
				r := l.claim(t, "forward", b.url()+below, "--transport", transport)
				host, path := publicOf(r.url)
				ask := func(authority, target string) {
					raw(t, l.addr, host, "GET", authority+path+target)
					if got, want := b.line(t), "GET "+below+target+" HTTP/1.1"; got != want {
						t.Errorf("%s, %s: the local server was asked for %.99q, want %.99q", path, transport, got, want)
					}
				}
				for _, target := range few {
					ask("", target)
					ask("http://"+host, target)
				}
				if shape == hostShape && below == "" {
					for _, target := range every {
						ask("", target)
					}
				}
			}
		}
	}
}

func TestNoTargetLeadsOutOfThePathThatIsForwarded(t *testing.T) {
	t.Parallel()
	asked := make(chan string, 1)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { asked <- r.RequestURI }))
	t.Cleanup(s.Close)
	for _, shape := range []string{hostShape, pathShape} {
		l := lend(t, shape, gateway.Options{})
		r := l.claim(t, "forward", s.URL+"/app/")
		host, path := publicOf(r.url)
		for _, target := range []string{
			"/..", "/../x", "/a/../../x", "/%2e%2E/x", "/..%2fx", `/..\x`, "/..%5Cx", "//../x", "/./.././x", "/..;a=b/x", "/a/..;/..;/x", "/../?q", "/../app/x",
		} {
			for _, authority := range []string{"", "http://" + host} {
				if status, content := raw(t, l.addr, host, "GET", authority+path+target); status != http.StatusBadRequest || !strings.Contains(content, "leads out") {
					t.Errorf("%s: GET %s = %d %q, want 400", path, authority+target, status, content)
				}
			}
		}
		for _, to := range []string{r.url + "../x", path + "/%2e%2e/x"} {
			if status, _ := raw(t, l.addr, host+"\r\nDestination: "+to, "MOVE", path+"/a"); status != http.StatusBadRequest {
				t.Errorf("MOVE to %s = %d, want 400", to, status)
			}
		}
		for _, target := range []string{"/a/../b", "/...", "/..a/x", "/?q=/../x", "/a;/../b"} {
			raw(t, l.addr, host, "GET", path+target)
			if got := <-asked; got != "/app"+target {
				t.Errorf("%s: the local server was asked for %q, want %q", path, got, "/app"+target)
			}
		}
	}
	if len(asked) > 0 {
		t.Errorf("the local server was asked for %q, which is not below its path", <-asked)
	}
}

func TestForwardAsksAServerOfTLSForTheTargetByteForByte(t *testing.T) {
	var got string
	s := newTLS(t, func(w http.ResponseWriter, r *http.Request) { got = r.RequestURI })
	l := lend(t, hostShape, gateway.Options{})
	r := l.claim(t, "forward", s.URL, "--insecure")
	host, _ := publicOf(r.url)
	for _, target := range []string{"//a%2Fb|c", "/a%2Fb|c", "//a%2Fb|c?d"} {
		if raw(t, l.addr, host, "GET", target); got != target {
			t.Errorf("the local server was asked for %q, want %q", got, target)
		}
	}
}
