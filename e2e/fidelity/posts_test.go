package fidelity

import (
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var posts = flag.Int("posts", 300, "POSTs of the first kind; of each other one a tenth as many, and 100 at least")

const (
	concurrency = 16
	inlineBytes = 65_536 // the longest content that the gateway puts into the envelope by default
)

// golang/go#40747: httputil.ReverseProxy cuts some answers whose handler begins while the visitor still sends. Every
// byte is compared.
func TestFastPostsComeBackWhole(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		size   int
		length bool // with Content-Length
		most   int
	}{
		{"64 KiB", inlineBytes, true, *posts},
		{"64 KiB and a byte", inlineBytes + 1, true, max(100, *posts/10)},
		{"64 KiB of unknown length", inlineBytes, false, max(100, *posts/10)},
	} {
		t.Run(c.name, func(t *testing.T) {
			through := lend(t, http.HandlerFunc(echo), hostShape)
			most := int64(c.most)
			client, began := through.client(t, concurrency), time.Now()
			var begun, whole atomic.Int64
			var all sync.WaitGroup
			for worker := range concurrency {
				all.Go(func() {
					p := newPoster(client, through.url(), worker, c.size, c.length)
					for n := begun.Add(1); n <= most && !t.Failed(); n = begun.Add(1) {
						if err := p.post(n); err != nil {
							t.Errorf("POST %d: %v", n, err)
							return
						}
						whole.Add(1)
					}
				})
			}
			all.Wait()
			took := time.Since(began)
			if whole.Load() != most {
				t.Errorf("%d POSTs came back whole, want %d", whole.Load(), most)
			}
			t.Attr("figures", fmt.Sprintf("%d POSTs of %s came back whole in %.1f s: %.0f a second", whole.Load(), c.name, took.Seconds(), float64(whole.Load())/took.Seconds()))
		})
	}
}

// echo answers with the content of the request, while it reads it.
func echo(w http.ResponseWriter, r *http.Request) {
	w.Header()["Content-Type"] = r.Header["Content-Type"]
	w.Header()["X-Number"] = r.Header["X-Number"]
	if r.ContentLength >= 0 {
		w.Header().Set("Content-Length", fmt.Sprint(r.ContentLength))
	}
	_ = http.NewResponseController(w).EnableFullDuplex()
	if _, err := io.Copy(w, r.Body); err != nil {
		panic(http.ErrAbortHandler)
	}
}

// poster sends POSTs one after the other, each with content of its own.
type poster struct {
	client  *http.Client
	url     string
	random  *rand.ChaCha8
	content []byte
	got     bytes.Buffer
	length  bool
}

func newPoster(client *http.Client, url string, worker, size int, length bool) *poster {
	var seed [32]byte
	binary.BigEndian.PutUint64(seed[:], uint64(worker))
	return &poster{client: client, url: url, random: rand.NewChaCha8(seed), content: make([]byte, size), length: length}
}

func (p *poster) post(n int64) error {
	p.random.Read(p.content)
	var content io.Reader = bytes.NewReader(p.content)
	if !p.length {
		content = struct{ io.Reader }{content} // hides its length from net/http
	}
	req, err := http.NewRequest("POST", p.url, content)
	if err != nil {
		return err
	}
	number := fmt.Sprint(n)
	req.Header.Set("Content-Type", "application/octet-stream")
	req.Header.Set("X-Number", number)
	resp, err := p.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	p.got.Reset()
	if _, err := p.got.ReadFrom(resp.Body); err != nil {
		return fmt.Errorf("after %d bytes: %w", p.got.Len(), err)
	}
	switch {
	case resp.StatusCode != http.StatusOK:
		return errors.New(resp.Status)
	case resp.Header.Get("X-Number") != number:
		return fmt.Errorf("it got the answer to POST %s", resp.Header.Get("X-Number"))
	case !bytes.Equal(p.got.Bytes(), p.content):
		return fmt.Errorf("%d bytes came back, which differ from the %d that were sent", p.got.Len(), len(p.content))
	}
	return nil
}
