package fidelity

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
)

const refusal = "that is too much\n"

// refuse answers after it has read 1,000 bytes, while the visitor may still be sending.
func refuse(w http.ResponseWriter, r *http.Request) {
	io.ReadFull(r.Body, make([]byte, 1_000))
	w.Header().Set("Content-Type", "text/plain")
	w.Header().Set("X-Path", r.URL.Path)
	w.WriteHeader(http.StatusRequestEntityTooLarge)
	io.WriteString(w, refusal)
}

// The visitor sends more than the handler reads, and reads the answer meanwhile, as net/http and browsers do.
func TestAnEarlyAnswerIsNotLost(t *testing.T) {
	t.Parallel()
	through := lend(t, http.HandlerFunc(refuse), hostShape)
	const visits = 100
	for name, head := range map[string]string{
		"known length":   "Content-Length: 8388608\r\n\r\n",
		"unknown length": "Transfer-Encoding: chunked\r\n\r\n800000\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			content := bytes.Repeat([]byte("0123456789abcde\n"), 8_388_608/16)
			numbers := make(chan int)
			var all sync.WaitGroup
			for range concurrency {
				all.Go(func() {
					for n := range numbers {
						path := fmt.Sprint("/", n)
						if err := visitEarly(through.dial(t), "POST "+path+" HTTP/1.1\r\nHost: "+through.host+"\r\n"+head, content, path); err != nil {
							t.Errorf("visit %d: %v", n, err)
						}
					}
				})
			}
			for n := range visits {
				numbers <- n
			}
			close(numbers)
			all.Wait()
		})
	}
}

// visitEarly sends the content, until the connection ends, and reads the answer at the same time.
func visitEarly(conn net.Conn, head string, content []byte, path string) error {
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		if _, err := io.WriteString(conn, head); err == nil {
			conn.Write(content)
		}
	}()
	defer func() { <-sent }()
	defer conn.Close()
	v, err := readVerdict(bufio.NewReader(conn), "POST")
	switch {
	case err != nil:
		return err
	case v.ending != nil:
		return fmt.Errorf("status %d, then %w", v.status, v.ending)
	case v.status != http.StatusRequestEntityTooLarge || v.content != refusal || v.fields.Get("X-Path") != path:
		return fmt.Errorf("%s %q %q, want 413 with %q", v.reason, v.fields, v.content, refusal)
	}
	return nil
}

// The gateway has read short content before the handler runs, so the connection can be used again.
func TestAnEarlyAnswerToShortContentKeepsTheConnection(t *testing.T) {
	through := lend(t, http.HandlerFunc(refuse), hostShape)
	conn := through.dial(t)
	defer conn.Close()
	in := bufio.NewReader(conn)
	for n := range 20 {
		path := fmt.Sprint("/", n)
		r := row{request: "POST " + path + "\n\n" + strings.Repeat("x", inlineBytes)}
		if _, err := conn.Write(r.raw(through.host)); err != nil {
			t.Fatal(err)
		}
		v, err := readVerdict(in, "POST")
		if err != nil || v.status != http.StatusRequestEntityTooLarge || v.content != refusal || v.fields.Get("X-Path") != path {
			t.Fatalf("visit %d: %s %q %q %v, want 413 with %q", n, v.reason, v.fields, v.content, err, refusal)
		}
	}
}

// The visitor reads only after sending everything, and gives up if a write fails. 4 MiB do not fit into the buffers of
// the sockets, so the gateway has to read on after the answer.
func TestAnEarlyAnswerReachesAVisitorWhoSendsAllFirst(t *testing.T) {
	t.Parallel()
	const size = 4 << 20
	flushed := func(w http.ResponseWriter, r *http.Request) {
		refuse(w, r)
		_ = http.NewResponseController(w).Flush()
	}
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		request string
	}{
		"known length":            {refuse, fmt.Sprintf("Content-Length: %d\r\n\r\n%s", size, strings.Repeat("x", size))},
		"unknown length":          {refuse, fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n7d0\r\n%s\r\n%x\r\n%s\r\n0\r\n\r\n", strings.Repeat("x", 2_000), size, strings.Repeat("x", size))},
		"known length, flushed":   {flushed, fmt.Sprintf("Content-Length: %d\r\n\r\n%s", size, strings.Repeat("x", size))},
		"unknown length, flushed": {flushed, fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", size, strings.Repeat("x", size))},
	} {
		t.Run(name, func(t *testing.T) {
			through := lend(t, c.handler, hostShape)
			for n := range 5 {
				path := fmt.Sprint("/", n)
				conn := through.dial(t)
				defer conn.Close()
				if _, err := fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: %s\r\n%s", path, through.host, c.request); err != nil {
					t.Fatalf("visit %d: %v", n, err)
				}
				v, err := readVerdict(bufio.NewReader(conn), "POST")
				if err != nil || v.ending != nil || v.status != http.StatusRequestEntityTooLarge || v.content != refusal || v.fields.Get("X-Path") != path {
					t.Errorf("visit %d: %s %q %v %v, want 413 with %q", n, v.reason, v.content, v.ending, err, refusal)
				}
			}
		})
	}
}
