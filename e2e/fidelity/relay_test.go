package fidelity

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"testing"
)

// serveBytes answers every request with the same bytes, and sends its target to lines.
func serveBytes(t *testing.T, answer string, lines chan<- string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	t.Cleanup(func() {
		l.Close()
		<-ended
	})
	go func() {
		defer close(ended)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			if r, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
				lines <- r.RequestURI
				io.WriteString(c, answer)
			}
			c.Close()
		}
	}()
	return l.Addr().String()
}

func TestReverseProxyRelaysAResponseWithoutContentType(t *testing.T) {
	asked := make(chan string, 10)
	origin := serveBytes(t, "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nX-Content-Type-Options: nosniff\r\nContent-Length: 8\r\nConnection: close\r\n\r\n<script>", asked)
	transport := &http.Transport{DisableCompression: true}
	t.Cleanup(transport.CloseIdleConnections)
	_, through := twice(t, &httputil.ReverseProxy{Transport: transport, Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(&url.URL{Scheme: "http", Host: origin})
	}})
	v := through.visit(t, row{request: "GET /"})
	if typed, ok := v.fields["Content-Type"]; ok || v.content != "<script>" || len(v.fields["Date"]) != 1 {
		t.Errorf("content %q, Content-Type %q, Date %q; want no Content-Type, and one Date", v.content, typed, v.fields["Date"])
	}
}

func TestReverseProxyKeepsTheEscapesOfTargets(t *testing.T) {
	asked := make(chan string, 10)
	origin := serveBytes(t, "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n", asked)
	_, through := twice(t, proxyTo(t, origin))
	for target, want := range map[string]string{
		"/a%2Fb|c": "/a%2Fb%7Cc", "/a%3Bb|c": "/a%3Bb%7Cc", "/repos/%40scope%2Fpkg/{id}": "/repos/%40scope%2Fpkg/%7Bid%7D", "//a%2Fb": "//a%2Fb",
	} {
		through.visit(t, row{request: "GET " + target})
		if got := await(t, "the server to be asked", asked); got != want {
			t.Errorf("the server was asked for %q, want %q", got, want)
		}
	}
}
