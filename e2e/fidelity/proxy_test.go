package fidelity

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
)

// newProxy returns an httputil.ReverseProxy in front of a net/http server of its own.
func newProxy(t testing.TB, origin http.Handler) http.Handler {
	return proxyTo(t, serve(t, origin))
}

func proxyTo(t testing.TB, addr string) http.Handler {
	to, err := url.Parse("http://" + addr)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{DisableCompression: true}
	t.Cleanup(transport.CloseIdleConnections)
	p := &httputil.ReverseProxy{
		Transport:     transport,
		FlushInterval: -1,
		ErrorLog:      log.New(io.Discard, "", 0),
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(to)
			r.Out.URL.RawQuery = r.In.URL.RawQuery
			r.Out.Host = r.In.Host
		},
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex() // ReverseProxy leaves it as it is
		p.ServeHTTP(w, r)
	})
}

func TestReverseProxyGivesTheSameVerdict(t *testing.T) {
	t.Parallel()
	direct, through := twice(t, unforwarded(newProxy(t, newHTTPBin())))
	for _, r := range httpbinRows() {
		sameVerdict(t, direct, through, r)
	}
}

// Each line is answered before the next is sent, so every program on the way must pass on what it has.
func TestReverseProxyStreamsBothWaysAtOnce(t *testing.T) {
	direct, through := twice(t, newProxy(t, http.HandlerFunc(converse)))
	for _, w := range []way{direct, through} {
		conn := w.dial(t)
		defer conn.Close()
		fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: %s\r\nTransfer-Encoding: chunked\r\n\r\n", w.host)
		in := bufio.NewReader(conn)
		var resp *http.Response
		var lines *bufio.Reader
		for n := range 50 {
			sent := strings.Repeat(fmt.Sprint(n, " "), 1+n*n) + "\n"
			fmt.Fprintf(conn, "%x\r\n%s\r\n", len(sent), sent)
			if n == 0 {
				var err error
				if resp, err = http.ReadResponse(in, nil); err != nil {
					t.Fatalf("%s: %v", w.name, err)
				}
				lines = bufio.NewReader(resp.Body)
			}
			if got, err := lines.ReadString('\n'); got != sent {
				t.Fatalf("%s: line %d: %.80q %v, want %.80q", w.name, n, got, err, sent)
			}
		}
		io.WriteString(conn, "0\r\n\r\n")
		if rest, err := io.ReadAll(lines); len(rest) > 0 || err != nil {
			t.Errorf("%s: after the last line %.80q %v, want a clean end", w.name, rest, err)
		}
		if got := resp.Trailer.Get("X-Lines"); got != "50" {
			t.Errorf("%s: trailer X-Lines = %q, want 50", w.name, got)
		}
	}
}

// converse echoes each line, and returns their number in a trailer.
func converse(w http.ResponseWriter, r *http.Request) {
	c := http.NewResponseController(w)
	_ = c.EnableFullDuplex()
	w.Header().Set("Trailer", "X-Lines")
	in := bufio.NewReader(r.Body)
	for lines := 0; ; lines++ {
		line, err := in.ReadString('\n')
		if line != "" {
			io.WriteString(w, line)
			c.Flush()
		}
		if err == io.EOF {
			w.Header().Set("X-Lines", fmt.Sprint(lines))
			return
		}
		if err != nil {
			panic(http.ErrAbortHandler)
		}
	}
}

// 16 MiB pass in both directions at once, more than all buffers on the way hold.
func TestReverseProxyEchoesMuch(t *testing.T) {
	t.Parallel()
	direct, through := twice(t, newProxy(t, http.HandlerFunc(echo)))
	content := bytes.Repeat([]byte("\x00\xff0123456789abc\n"), 1<<20)
	for i := range content {
		content[i] += byte(i >> 16)
	}
	for _, w := range []way{direct, through} {
		for _, length := range []int64{int64(len(content)), -1} {
			req, err := http.NewRequest("POST", w.url(), io.NopCloser(bytes.NewReader(content)))
			if err != nil {
				t.Fatal(err)
			}
			req.ContentLength = length
			resp, err := w.client(t, 1).Do(req)
			if err != nil {
				t.Fatalf("%s, length %d: %v", w.name, length, err)
			}
			got, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if err != nil || sha256.Sum256(got) != sha256.Sum256(content) || resp.ContentLength != length {
				t.Errorf("%s, length %d: %d bytes, length %d, %v, want all %d as they were", w.name, length, len(got), resp.ContentLength, err, len(content))
			}
		}
	}
}

// The server behind the proxy breaks its answer off. The visitor must not take that for the end of the content.
func TestReverseProxyPassesABreakOn(t *testing.T) {
	direct, through := twice(t, newProxy(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "some")
		http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})))
	for _, w := range []way{direct, through} {
		if v := w.visit(t, row{request: "GET /"}); v.ending == nil || v.content != "some" {
			t.Errorf("%s: %q, ended by %v, want a break after %q", w.name, v.content, v.ending, "some")
		}
	}
}

func TestReverseProxyCancelsTheRequestOfAVisitorWhoLeft(t *testing.T) {
	began, ended := make(chan string, 1), make(chan bool, 1)
	direct, through := twice(t, newProxy(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began <- r.URL.Path
		io.WriteString(w, "some")
		http.NewResponseController(w).Flush()
		<-r.Context().Done()
		ended <- true
	})))
	for _, w := range []way{direct, through} {
		conn := w.dial(t)
		conn.Write(row{request: "GET /"}.raw(w.host))
		await(t, w.name+": the server to begin", began)
		readFirst(t, conn)
		conn.Close()
		await(t, w.name+": the server to see that the visitor left", ended)
	}
}
