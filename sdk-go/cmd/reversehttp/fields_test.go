package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"reversehttp/server/gateway"
)

func TestForwardAddsNoFields(t *testing.T) {
	t.Parallel()
	var answer string
	b := serveBare(t, func(string) string { return answer })
	for _, transport := range []string{"poll", "stream", "framed", "link"} {
		l := lend(t, hostShape, gateway.Options{})
		r := l.claim(t, "forward", b.url(), "--transport", transport)
		host, _ := publicOf(r.url)
		for _, c := range []struct{ method, answer, want string }{
			{"GET", "HTTP/1.1 200 OK\r\nX-Content-Type-Options: nosniff\r\nContent-Length: 8\r\n\r\n<script>", "Content-Length Date Via X-Content-Type-Options"},
			{"GET", "HTTP/1.1 200 OK\r\n\r\n<script>", "Date Via"},
			{"GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8\r\n<script>\r\n0\r\n\r\n", "Date Via"},
			{"GET", "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: 3\r\n\r\nabc", "Content-Encoding Content-Length Date Via"},
			{"GET", "HTTP/1.1 103 Early Hints\r\nX-Early: 1\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>", "Content-Length Date Via"},
			{"GET", "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "Content-Length Date Via"},
			{"GET", "HTTP/1.1 304 Not Modified\r\nEtag: \"a\"\r\n\r\n", "Date Etag Via"},
			{"GET", nothing, "Date Via"},
			{"HEAD", "HTTP/1.1 200 OK\r\n\r\n", "Date Via"},
			{"GET", "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n", "Content-Type Date Incremental Via X-Accel-Buffering"},
			{"GET", "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nX-Accel-Buffering: no\r\n\r\ndata: 1\n\n", "Content-Type Date Via X-Accel-Buffering"},
			{"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n", "Content-Length Date Via"},
		} {
			answer = c.answer
			h := fieldsOf(t, l.addr, c.method+" / HTTP/1.1\r\nHost: "+host+"\r\nConnection: close\r\n\r\n", c.method)
			var names []string
			for name, values := range h {
				for range values {
					if name != "Connection" { // is the gateway's own
						names = append(names, name)
					}
				}
			}
			slices.Sort(names)
			if got := strings.Join(names, " "); got != c.want {
				t.Errorf("%s: %s, answered with %q, has the fields %q, want %q", transport, c.method, c.answer, got, c.want)
			}
			<-b.heads
		}
		answer = nothing
		for _, c := range []struct{ sent, want string }{
			{"GET / HTTP/1.1\r\nHost: " + host + "\r\n\r\n", ""},
			{"POST / HTTP/1.1\r\nHost: " + host + "\r\nContent-Length: 0\r\nX-A: 1\r\n\r\n", "Content-Length X-A"},
			{"GET / HTTP/1.1\r\nHost: " + host + "\r\nAccept-Encoding: br\r\nUser-Agent: me\r\n\r\n", "Accept-Encoding User-Agent"},
		} {
			fieldsOf(t, l.addr, c.sent, "GET")
			head := <-b.heads
			h, err := http.ReadRequest(bufio.NewReader(strings.NewReader(head)))
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for name := range h.Header {
				if name != "Via" && name != "Cdn-Loop" && name != "Traceparent" && !strings.Contains(name, "Forwarded") { // are the gateway's
					names = append(names, name)
				}
			}
			slices.Sort(names)
			if got := strings.Join(names, " "); got != c.want {
				t.Errorf("%s: %q reached the local server with the fields %q, want %q", transport, c.sent, got, c.want)
			}
		}
	}
}

// fieldsOf sends a request and returns the fields of the final response, after all of its content.
func fieldsOf(t *testing.T, addr, request, method string) http.Header {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	fmt.Fprint(c, request)
	in := bufio.NewReader(c)
	for {
		resp, err := http.ReadResponse(in, &http.Request{Method: method})
		if err != nil {
			t.Fatalf("%q: %v", request, err)
		}
		if resp.StatusCode < 200 {
			continue
		}
		defer resp.Body.Close()
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			t.Errorf("%q: %v", request, err)
		}
		return resp.Header
	}
}

// wire sends a request and returns all that comes until the connection ends.
func wire(t *testing.T, addr, request string) string {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	fmt.Fprint(c, request)
	b, err := io.ReadAll(c)
	if err != nil {
		t.Errorf("%q: %v", request, err)
	}
	return string(b)
}
