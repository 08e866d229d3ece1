package abuse

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"runtime"
	"runtime/metrics"
	"sync/atomic"

	reversehttp "reversehttp/sdk-go"
)

// The program for the readers of large answers is this binary in its own process, which ends with its
// standard input.

func init() {
	if way := os.Getenv("BULK_WAY"); way != "" {
		if err := beBulkProgram(way, os.Getenv("BULK_GATEWAY")); err != nil {
			fmt.Fprintln(os.Stderr, "bulk program:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
}

// bulkFigures are what the program reports.
type bulkFigures struct {
	Heap    int64 `json:"heap"`    // live heap after a collection, in bytes
	Written int64 `json:"written"` // bytes of large answers
	Running int64 `json:"running"` // handlers of large answers
}

// bulkHandler serves /large, /open, which sends 200,000 bytes and stays open, and small
// answers anywhere else.
type bulkHandler struct{ written, running atomic.Int64 }

var bulkNoise = func() []byte {
	b := make([]byte, 256<<10)
	_, _ = rand.NewChaCha8([32]byte{}).Read(b)
	return b
}()

func (h *bulkHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	size := bulkSize
	switch r.URL.Path {
	default:
		_, _ = io.WriteString(w, "small")
		return
	case "/open":
		size = 200_000
	case "/large":
	}
	h.running.Add(1)
	defer h.running.Add(-1)
	for size > 0 {
		n, err := w.Write(bulkNoise[:min(size, len(bulkNoise))])
		h.written.Add(int64(n))
		if size -= n; err != nil {
			return
		}
	}
	if r.URL.Path == "/open" {
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}
}

// beBulkProgram serves a claim in one of the ways. It prints its URL, and answers each line with figures.
func beBulkProgram(way, origin string) error {
	h := &bulkHandler{}
	var err error
	var at string
	if way == "ietfPtth with h2" {
		at, err = serveTurned(origin, h)
	} else {
		var s *reversehttp.Session
		if s, err = reversehttp.Claim(context.Background(), origin, &reversehttp.Options{Transport: reversehttp.Transport(way)}); err == nil {
			at = s.URL()
			go func() { panic(s.Serve(h)) }()
		}
	}
	if err != nil {
		return err
	}
	fmt.Println(at)
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		f := bulkFigures{Written: h.written.Load(), Running: h.running.Load()}
		if in.Text() == "collect" {
			runtime.GC()
			runtime.GC() // pools are emptied in the second one
			live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
			metrics.Read(live)
			f.Heap = int64(live[0].Value.Uint64())
		}
		if err := json.NewEncoder(os.Stdout).Encode(f); err != nil {
			return err
		}
	}
	return nil
}

// serveTurned serves demo on a connection that the gateway turns, with net/http's server.
func serveTurned(origin string, h http.Handler) (at string, err error) {
	u, err := url.Parse(origin)
	if err != nil {
		return "", err
	}
	c, err := net.Dial("tcp", u.Host)
	if err != nil {
		return "", err
	}
	at = "http://demo.localhost:" + u.Port()
	_, _ = fmt.Fprintf(c, "GET /.well-known/ptth/%s/ HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer t0t0t0t0t0t0\r\n"+
		"Connection: upgrade\r\nUpgrade: ptth\r\nALPN: h2\r\n\r\n", url.QueryEscape(at), u.Host)
	in := bufio.NewReader(c)
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		return "", err
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		return "", fmt.Errorf("status %d, want 101", resp.StatusCode)
	}
	s := &http.Server{Handler: h, Protocols: new(http.Protocols), HTTP2: &http.HTTP2Config{MaxConcurrentStreams: 2 * bulkReaders}}
	s.Protocols.SetUnencryptedHTTP2(true)
	go func() { panic(s.Serve(&onceListener{turnedConn{c, in}, make(chan struct{}, 1)})) }()
	return at + "/", nil
}

// turnedConn is a connection from which some bytes were already read.
type turnedConn struct {
	net.Conn
	in io.Reader
}

func (c turnedConn) Read(p []byte) (int, error) { return c.in.Read(p) }

// onceListener returns one connection.
type onceListener struct {
	net.Conn
	given chan struct{}
}

func (l *onceListener) Accept() (net.Conn, error) {
	l.given <- struct{}{} // blocks for ever the second time
	return l.Conn, nil
}

func (l *onceListener) Addr() net.Addr { return l.LocalAddr() }
