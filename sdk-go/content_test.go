package reversehttp_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"testing"
	"time"

	reversehttp "reversehttp/sdk-go"
	"reversehttp/server/gateway"
)

// 64 MiB pass in both directions, between the handler and a slower and a faster visitor; visitor, gateway and
// session together never hold much of it.
func TestContentOfAnySizeTakesLittleMemory(t *testing.T) {
	const size, most = 64 << 20, 1 << 20
	l := lend(t, hostShape, gateway.Options{})
	s := l.serve(t, handle(func(w http.ResponseWriter, r *http.Request) {
		buf := make([]byte, 32<<10)
		switch {
		case r.Method == "PUT":
			n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{r.Body}, buf)
			fmt.Fprint(w, n, err)
			return
		case r.URL.Path == "/declared":
			w.Header().Set("Content-Length", fmt.Sprint(size))
		}
		for sent := 0; sent < size; sent += len(buf) {
			if _, err := w.Write(buf); err != nil {
				t.Error(err)
				return
			}
			if r.URL.Path == "/flushed" {
				w.(http.Flusher).Flush()
			}
		}
	}), nil)
	u, err := url.Parse(s.URL())
	if err != nil {
		t.Fatal(err)
	}
	heap := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	// held returns how much more than before is held once everybody waits for the slowest, which takes a
	// while.
	held := func(before int64) (n int64) {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for end := time.Now().Add(patience); ; <-tick.C {
			if n = heap() - before; n <= most || time.Now().After(end) {
				return n
			}
		}
	}
	connect := func(request string) *net.TCPConn {
		conn, err := net.Dial("tcp", l.addr)
		if err != nil {
			t.Fatal(err)
		}
		conn.SetDeadline(time.Now().Add(10 * time.Minute))
		fmt.Fprintf(conn, request, u.Host)
		return conn.(*net.TCPConn)
	}
	buf := make([]byte, 64<<10)
	for _, path := range []string{"/", "/declared", "/flushed"} {
		before, largest := heap(), int64(0)
		conn := connect("GET " + path + " HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n")
		conn.SetReadBuffer(64 << 10)
		total := 0
		for next := 0; ; {
			n, err := conn.Read(buf)
			total += n
			if err != nil {
				break
			}
			if total > next {
				next += 8 << 20
				largest = max(largest, held(before))
			}
		}
		conn.Close()
		if total < size {
			t.Errorf("GET %s: %d bytes came, want %d and the head", path, total, size)
		}
		if largest > most {
			t.Errorf("GET %s: %d bytes more of heap, want %d at most", path, largest, most)
		}
		t.Logf("GET %s: at most %d KiB more of heap", path, largest>>10)
	}
	before, largest := heap(), int64(0)
	conn := connect("PUT / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\nContent-Length: " + fmt.Sprint(size) + "\r\n\r\n")
	defer conn.Close()
	for sent := 0; sent < size; sent += len(buf) {
		if _, err := conn.Write(buf); err != nil {
			t.Fatal(err)
		}
		if sent%(8<<20) == 0 {
			largest = max(largest, held(before))
		}
	}
	answer, err := io.ReadAll(conn)
	if want := fmt.Sprint(size, " <nil>"); !strings.HasSuffix(string(answer), want) {
		t.Errorf("PUT = %q, %v; want %q at the end", answer, err, want)
	}
	if largest > most {
		t.Errorf("PUT: %d bytes more of heap, want %d at most", largest, most)
	}
	t.Logf("PUT: at most %d KiB more of heap", largest>>10)
}

// BenchmarkContent measures bytes from handler to visitor, in one stream or in small pieces, and back.
func BenchmarkContent(b *testing.B) {
	const size = 16 << 20
	piece := make([]byte, 32<<10)
	l := lend(b, hostShape, gateway.Options{})
	s := l.serve(b, handle(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "PUT" {
			io.Copy(io.Discard, r.Body)
			return
		}
		for range size / len(piece) {
			w.Write(piece)
			if r.URL.Path == "/flushed" {
				w.(http.Flusher).Flush()
			}
		}
	}), nil)
	client := l.client(b)
	for _, c := range []struct{ method, path string }{{"GET", ""}, {"GET", "flushed"}, {"PUT", ""}} {
		b.Run(c.method+"/"+c.path, func(b *testing.B) {
			b.SetBytes(size)
			for b.Loop() {
				var content io.Reader
				if c.method == "PUT" {
					content = io.LimitReader(pattern(), size)
				}
				req, _ := http.NewRequest(c.method, s.URL()+c.path, content)
				resp, err := client.Do(req)
				if err != nil {
					b.Fatal(err)
				}
				n, err := io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
				if err != nil || n != size && c.method == "GET" {
					b.Fatal(n, err)
				}
			}
		})
	}
}

// The visitor sends the second half once the handler has the first, although all of it would fit into the
// message.
func TestContentThatArrivesBitByBitIsPassedOnLikeThat(t *testing.T) {
	for _, transport := range []reversehttp.Transport{reversehttp.TransportPoll, reversehttp.TransportStream, reversehttp.TransportFramed, reversehttp.TransportLink} {
		half := make(chan string, 1)
		l := lend(t, hostShape, gateway.Options{})
		s := l.serve(t, handle(func(w http.ResponseWriter, r *http.Request) {
			first := make([]byte, 3)
			_, err := io.ReadFull(r.Body, first)
			half <- fmt.Sprint(string(first), err)
			rest, err := io.ReadAll(r.Body)
			fmt.Fprint(w, string(rest), err, r.ContentLength)
		}), &reversehttp.Options{Transport: transport})
		out, in := io.Pipe()
		req, err := http.NewRequest("POST", s.URL(), out)
		if err != nil {
			t.Fatal(err)
		}
		req.ContentLength = 6
		req.Header.Set("Incremental", "?1")
		go func() {
			_, _ = io.WriteString(in, "abc")
			if <-half != "abc<nil>" {
				t.Errorf("%s: the handler had no first half", transport)
			}
			_, _ = io.WriteString(in, "def")
			in.Close()
		}()
		client := l.client(t)
		// Otherwise the transport would hold the first half until the second is there.
		client.Transport.(*http.Transport).WriteBufferSize = 1
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if string(got) != "def<nil> 6" || err != nil {
			t.Errorf("%s: the handler read %q %v, want the second half of 6 bytes", transport, got, err)
		}
	}
}
