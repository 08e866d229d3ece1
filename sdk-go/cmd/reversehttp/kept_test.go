package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"reversehttp/server/gateway"
)

// net/http closes the content of a failed request, and waits until nothing reads it.
func TestKeptContentIsReadAgainWhileItWaitsForMore(t *testing.T) {
	source, visitor := io.Pipe()
	kept := newKeptContent(source)
	first := kept.reader()
	read := make(chan string)
	go func() {
		b, err := io.ReadAll(first)
		if !errors.Is(err, http.ErrBodyReadAfterClose) {
			t.Errorf("the first reader ends with %v", err)
		}
		read <- string(b)
	}()
	if _, err := io.WriteString(visitor, "one\n"); err != nil {
		t.Fatal(err)
	}
	first.Close()
	<-read // although the visitor sends nothing
	if !kept.whole() {
		t.Error("the content is not whole")
	}
	second := kept.reader()
	defer second.Close()
	go func() {
		_, _ = io.WriteString(visitor, "two\n")
		visitor.Close()
	}()
	if b, err := io.ReadAll(second); err != nil || string(b) != "one\ntwo\n" {
		t.Errorf("the second reader reads %q, %v", b, err)
	}
}

func TestContentBeyondTheBoundIsNotKept(t *testing.T) {
	sent := strings.Repeat("x", keptMost+keptEach)
	source := io.NopCloser(strings.NewReader(sent))
	kept := newKeptContent(source)
	r := kept.reader()
	if b, err := io.ReadAll(r); err != nil || string(b) != sent {
		t.Errorf("the reader reads %d bytes, %v, want %d", len(b), err, len(sent))
	}
	if kept.whole() {
		t.Error("it is whole, though more was read than is kept")
	}
}

// While content is awaited, net/http alone does not notice that the server closed the connection.
func TestForwardReportsThatTheServerClosedWhileTheVisitorWaits(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	accepting := make(chan struct{})
	go func() {
		defer close(accepting)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			if r, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
				_, _ = io.ReadFull(r.Body, make([]byte, len("one\n")))
				if r.URL.Path == "/answer" {
					_, _ = io.WriteString(c, "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
				}
			}
			c.Close()
		}
	}()
	defer func() {
		l.Close()
		<-accepting
	}()
	g := lend(t, hostShape, gateway.Options{ContentPause: time.Hour})
	r := g.claim(t, "forward", "http://"+l.Addr().String())
	for _, v := range []struct {
		target string
		status int
	}{{"", 502}, {"answer", 204}, {"", 502}} {
		// By hand, since net/http as a visitor would also wait for its content.
		c, err := g.dial(t.Context(), "tcp", "")
		if err != nil {
			t.Fatal(err)
		}
		_, host, _ := strings.Cut(strings.TrimSuffix(r.url, "/"), "//")
		_, err = fmt.Fprintf(c, "POST /%s HTTP/1.1\r\nHost: %s\r\nTransfer-Encoding: chunked\r\n\r\n4\r\none\n\r\n", v.target, host)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
		if resp.StatusCode != v.status {
			t.Errorf("POST /%s = %s, want %d", v.target, resp.Status, v.status)
		}
	}
}
