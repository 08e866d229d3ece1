package reversehttp_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	reversehttp "reversehttp/sdk-go"
	"reversehttp/server/family"
	"reversehttp/server/gateway"
)

// Each handler is visited on a net/http server and through a gateway, in fake time. The visitor sees the same
// at the same times, and so does the handler.
var streams = []struct {
	name    string
	handler func(t *testing.T, note func(...any)) http.HandlerFunc
	visit   func(visitorOf) string
	want    string // the result of both; empty means that of net/http
}{
	{"flushes are seen at once", func(t *testing.T, note func(...any)) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			for _, s := range []string{"a", "b", "c"} {
				io.WriteString(w, s)
				w.(http.Flusher).Flush()
				time.Sleep(time.Second)
			}
			io.WriteString(w, "d")
		}
	}, get, "200 -1 [text/plain; charset=utf-8] 0s:a 1s:b 2s:c 3s:d end map[]"},
	{"a flush without content", func(t *testing.T, note func(...any)) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			w.WriteHeader(202)
			note(http.NewResponseController(w).Flush())
			time.Sleep(time.Second)
		}
	}, func(v visitorOf) string { return "head " + fmt.Sprint(v.head("GET")) + " " + get(v) }, ""},
	{"silence between events", func(t *testing.T, note func(...any)) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			for i := range 4 {
				fmt.Fprintf(w, "data: %d\n\n", i)
				w.(http.Flusher).Flush()
				time.Sleep(3 * time.Minute)
			}
		}
	}, get, ""},
	{"tokens of a model", func(t *testing.T, note func(...any)) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			for i := range 500 {
				fmt.Fprintf(w, "data: %d\n\n", i)
				w.(http.Flusher).Flush()
				time.Sleep(10 * time.Millisecond)
			}
		}
	}, get, ""},
	{"HEAD is answered by a flush", func(t *testing.T, note func(...any)) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, "some")
			w.(http.Flusher).Flush()
			time.Sleep(time.Second)
			n, err := io.WriteString(w, "more")
			note(n, err)
		}
	}, func(v visitorOf) string { return fmt.Sprint(v.head("HEAD")) }, "200 0s"},
	{"204 is answered by a flush", func(t *testing.T, note func(...any)) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(204)
			w.(http.Flusher).Flush()
			time.Sleep(time.Second)
		}
	}, func(v visitorOf) string { return fmt.Sprint(v.head("GET")) }, "204 0s"},
	{"a declared length that is reached", func(t *testing.T, note func(...any)) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "4")
			io.WriteString(w, "ab")
			w.(http.Flusher).Flush()
			time.Sleep(time.Second)
			io.WriteString(w, "cd")
			n, err := io.WriteString(w, "e")
			note(n, err)
			w.(http.Flusher).Flush()
			time.Sleep(time.Second)
		}
	}, get, ""},
	{"a declared length that is not", func(t *testing.T, note func(...any)) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "4")
			io.WriteString(w, "ab")
			w.(http.Flusher).Flush()
			time.Sleep(time.Second)
		}
	}, get, "200 4 [text/plain; charset=utf-8] 0s:ab unexpected EOF map[]"},
	{"a panic in the middle", func(t *testing.T, note func(...any)) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, "ab")
			w.(http.Flusher).Flush()
			time.Sleep(time.Second)
			io.WriteString(w, "never seen")
			panic(http.ErrAbortHandler)
		}
	}, get, "200 -1 [text/plain; charset=utf-8] 0s:ab unexpected EOF map[]"},
	{"a panic in much", func(t *testing.T, note func(...any)) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Write(make([]byte, 1<<20))
			w.(http.Flusher).Flush()
			time.Sleep(time.Second)
			panic(http.ErrAbortHandler)
		}
	}, sum, ""},
	{"much", func(t *testing.T, note func(...any)) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			note(io.Copy(w, io.LimitReader(pattern(), 5_000_001)))
		}
	}, sum, ""},
	{"much of a declared length", func(t *testing.T, note func(...any)) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "5000001")
			note(io.Copy(w, io.LimitReader(pattern(), 5_000_001)))
			n, err := w.Write([]byte("x"))
			note(n, err)
		}
	}, sum, ""},
	{"trailers of a small answer", func(t *testing.T, note func(...any)) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Trailer", "X-Sum")
			io.WriteString(w, "ab")
			w.Header()["X-Sum"] = []string{"1", "caf\xc3\xa9"}
			w.Header().Set(http.TrailerPrefix+"X-Late", "2")
		}
	}, get, ""},
	{"trailers of a stream", func(t *testing.T, note func(...any)) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Trailer", "X-Sum")
			io.WriteString(w, "ab")
			w.(http.Flusher).Flush()
			w.Header().Set("X-Sum", "1")
			w.Header().Set(http.TrailerPrefix+"X-Late", "2")
		}
	}, get, "200 -1 [text/plain; charset=utf-8] 0s:ab end map[X-Late:[2] X-Sum:[1]]"},
	{"trailers of much", func(t *testing.T, note func(...any)) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Trailer", "x-sum")
			io.Copy(w, io.LimitReader(pattern(), 1_000_000))
			w.Header().Set("X-Sum", "2")
		}
	}, sum, ""},
	{"trailers of a request", func(t *testing.T, note func(...any)) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			told := fmt.Sprint(r.Trailer, r.Header["Trailer"])
			copied := r.WithContext(context.WithValue(r.Context(), key{}, 1))
			b, err := io.ReadAll(r.Body)
			fmt.Fprint(w, told, string(b), err, copied.Trailer, r.ContentLength, r.TransferEncoding)
		}
	}, func(v visitorOf) string {
		req := v.request("POST", io.MultiReader(strings.NewReader("content")))
		req.Trailer = http.Header{"X-Sum": {"1"}}
		return v.do(req)
	}, ""},
	{"an echo while the request goes on", func(t *testing.T, note func(...any)) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			c := http.NewResponseController(w)
			note(c.EnableFullDuplex())
			buf := make([]byte, 16)
			for {
				n, err := r.Body.Read(buf)
				w.Write(buf[:n])
				c.Flush()
				if err != nil {
					note(err)
					return
				}
			}
		}
	}, func(v visitorOf) string {
		in, out := io.Pipe()
		go func() {
			for i := range 3 {
				fmt.Fprint(out, i)
				time.Sleep(time.Second)
			}
			out.Close()
		}()
		return v.do(v.request("POST", in))
	}, "200 -1 [text/plain; charset=utf-8] 0s:0 1s:1 2s:2 end map[]"},
	{"a refusal before the content", func(t *testing.T, note func(...any)) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			note(r.ContentLength, r.Header.Get("Content-Length"))
			http.Error(w, "no", http.StatusRequestEntityTooLarge)
		}
	}, func(v visitorOf) string {
		content := &counted{Reader: io.LimitReader(pattern(), 1<<20)}
		req := v.request("PUT", content)
		req.ContentLength = 1 << 20
		req.Header.Set("Expect", "100-continue")
		return fmt.Sprint(v.do(req), " sent ", content.n.Load())
	}, ""},
	{"100 (Continue) when the handler reads", func(t *testing.T, note func(...any)) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(time.Second)
			n, err := io.Copy(io.Discard, r.Body)
			fmt.Fprint(w, n, err)
		}
	}, func(v visitorOf) string {
		req := v.request("PUT", io.LimitReader(pattern(), 1<<20))
		req.ContentLength = 1 << 20
		req.Header.Set("Expect", "100-continue")
		return v.do(req)
	}, ""},
	{"an upload", func(t *testing.T, note func(...any)) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			h := sha256.New()
			n, err := io.Copy(h, r.Body)
			fmt.Fprint(w, n, err, r.ContentLength, hex.EncodeToString(h.Sum(nil)))
			_, err = r.Body.Read(make([]byte, 1))
			note(err, r.Body.Close())
			_, err = r.Body.Read(make([]byte, 1))
			note(err)
		}
	}, func(v visitorOf) string {
		return v.do(v.request("PUT", io.LimitReader(pattern(), 20_000_000)))
	}, ""},
	{"an upload that is limited", func(t *testing.T, note func(...any)) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			r.Body = http.MaxBytesReader(w, r.Body, 70_000)
			n, err := io.Copy(io.Discard, r.Body)
			note(n, err)
			w.WriteHeader(413)
		}
	}, func(v visitorOf) string {
		return v.do(v.request("PUT", io.LimitReader(pattern(), 300_000)))
	}, ""},
	{"a file", func(t *testing.T, note func(...any)) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			http.ServeContent(w, r, "big.bin", old, bytes.NewReader(large))
		}
	}, func(v visitorOf) string {
		all := sum(v)
		req := v.request("GET", nil)
		req.Header.Set("Range", "bytes=1000000-2999999")
		return all + " " + v.total(req)
	}, ""},
	{"a proxy", func(t *testing.T, note func(...any)) http.HandlerFunc {
		origin := func(w http.ResponseWriter, r *http.Request) {
			for i := range 3 {
				fmt.Fprint(w, i, " ")
				w.(http.Flusher).Flush()
				time.Sleep(time.Second)
			}
			w.Header().Set(http.TrailerPrefix+"X-Late", "2")
		}
		return (&httputil.ReverseProxy{
			Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(&url.URL{Scheme: "http", Host: "origin.test"}) },
			Transport:     listen(t, http.HandlerFunc(origin)).Transport,
			FlushInterval: -1,
		}).ServeHTTP
	}, get, "200 -1 [text/plain; charset=utf-8] 0s:0  1s:1  2s:2  end map[X-Late:[2]]"},
	{"a read deadline", func(t *testing.T, note func(...any)) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			c := http.NewResponseController(w)
			c.EnableFullDuplex()
			c.SetReadDeadline(time.Now().Add(3 * time.Second))
			start := time.Now()
			b, err := io.ReadAll(r.Body)
			note(string(b), errors.Is(err, os.ErrDeadlineExceeded), time.Since(start))
			w.WriteHeader(408)
		}
	}, func(v visitorOf) string {
		in, out := io.Pipe()
		go io.WriteString(out, "begun")
		defer in.Close()
		return v.do(v.request("POST", in))
	}, ""},
}

type key struct{}

func TestStreamsBehaveAsUnderNetHTTP(t *testing.T) { overEach(t, streamsBehaveAsUnderNetHTTP) }

func streamsBehaveAsUnderNetHTTP(t *testing.T) {
	for _, c := range streams {
		t.Run(c.name, func(t *testing.T) {
			run := func(through bool) (got, notes string) {
				var mu sync.Mutex
				var b strings.Builder
				note := func(v ...any) {
					mu.Lock()
					defer mu.Unlock()
					fmt.Fprintln(&b, v...)
				}
				synctest.Test(t, func(t *testing.T) {
					done := make(chan bool)
					answer := c.handler(t, note)
					h := func(w http.ResponseWriter, r *http.Request) {
						defer func() { done <- true }()
						answer(w, r)
					}
					v := visitorOf{url: demo}
					if !through {
						v.client = listen(t, http.HandlerFunc(h))
						patient(v.client)
						go func() { got = c.visit(v); done <- true }()
						await(t, done)
						return
					}
					g, err := gateway.New(gateway.Options{PublicURL: "http://{label}.gateway.test/", Doors: family.Doors(family.Options{})})
					if err != nil {
						t.Fatal(err)
					}
					defer g.Close()
					v.client = listen(t, g)
					patient(v.client)
					s, served := begin(t, v.client, reversehttp.Options{}, h)
					go func() { got = c.visit(v); done <- true }()
					await(t, done)
					s.Close()
					served()
				})
				return got, b.String()
			}
			want, wantNotes := run(false)
			if c.want != "" && want != c.want {
				t.Errorf("net/http gave %q, want %q", want, c.want)
			}
			got, notes := run(true)
			if got != want {
				t.Errorf("visitor got  %.400q\nnet/http gave %.400q", got, want)
			}
			if notes != wantNotes {
				t.Errorf("handler noted  %q\nunder net/http %q", notes, wantNotes)
			}
		})
	}
}

// await waits for all handlers and the visit; the visits of a case follow one another.
func await(t *testing.T, done chan bool) {
	t.Helper()
	for quiet := false; !quiet; {
		select {
		case <-done:
		case <-time.After(time.Hour):
			quiet = true
		}
	}
}
