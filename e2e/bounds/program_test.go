package bounds

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	reversehttp "reversehttp/sdk-go"
)

// beProgram serves the handlers below on claims at the gateway args[0], one for each transport. It prints
// their public URLs in one line.
func beProgram(args []string) error {
	f := flag.NewFlagSet("as-program", flag.ContinueOnError)
	by := f.String("transport", "", "how requests come to each claim, separated by commas; empty is one claim by the default")
	busy := f.Int("busy", 0, "so many goroutines compete with it for one processor, at most; 0 is none")
	through := f.String("through", "", "where the connections of each claim go, separated by commas; empty is the gateway")
	if err := f.Parse(args[1:]); err != nil {
		return err
	}
	if *busy > 0 {
		compete(*busy)
	}
	p := &program{told: make(chan struct{})}
	p.allowed.L = &p.mu
	p.limit = -1
	transports, addresses := strings.Split(*by, ","), strings.Split(*through, ",")
	if len(addresses) != len(transports) {
		return fmt.Errorf("%d addresses for %d claims", len(addresses), len(transports))
	}
	clients, urls, errs := make([]*http.Client, len(transports)), make([]string, len(transports)), make([]error, len(transports))
	var claims sync.WaitGroup
	for i := range transports {
		claims.Go(func() {
			transport := http.DefaultTransport.(*http.Transport).Clone()
			transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
				return (&net.Dialer{Control: small}).DialContext(ctx, network, cmp.Or(addresses[i], address))
			}
			clients[i] = &http.Client{Transport: transport}
			s, err := reversehttp.Claim(context.Background(), args[0], &reversehttp.Options{Client: clients[i], Transport: reversehttp.Transport(transports[i])})
			if err != nil {
				errs[i] = err
				return
			}
			urls[i] = s.URL()
			go func() { panic(s.Serve(p.handler())) }()
		})
	}
	claims.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	fmt.Println(strings.Join(urls, " "))
	return obey(func(o order, f *figures) {
		if o.Collect {
			for _, client := range clients {
				client.CloseIdleConnections()
			}
		}
		if o.Fail {
			p.told <- struct{}{}
		}
		if o.Read != 0 {
			p.mu.Lock()
			p.limit = o.Read
			p.allowed.Broadcast()
			p.mu.Unlock()
		}
		f.Running, f.Read, f.Written = p.running.Load(), p.read.Load(), p.written.Load()
	})
}

// compete makes goroutines compete for one processor: as many as most, or as many as make a goroutine wait
// for a second where the machine already has little time for this process.
func compete(most int) {
	runtime.GOMAXPROCS(1)
	compute := func(goroutines int) {
		for range goroutines {
			go func() {
				for n := 0; ; n++ { // computes, and does nothing else
					_ = n
				}
			}()
		}
	}
	few := max(most/10, 1)
	compute(few)
	begun := time.Now()
	runtime.Gosched() // until each had its turn
	compute(max(min(most, int(int64(few)*int64(time.Second)/int64(time.Since(begun)+1)))-few, 0))
}

// program is the state of its handlers.
type program struct {
	running, read, written atomic.Int64
	told                   chan struct{} // makes a handler fail

	mu      sync.Mutex // guards limit
	limit   int64      // of read; negative means none
	allowed sync.Cond  // signals a new limit
}

// piece is how much a handler reads or writes at a time, in bytes.
const piece = 32 << 10

// noise is not UTF-8, so an envelope carries it in base64.
var noise = func() []byte {
	b := make([]byte, piece)
	_, _ = rand.NewChaCha8([32]byte{}).Read(b)
	return b
}()

func (p *program) handler() http.Handler {
	mux := http.NewServeMux()
	// down?size=N returns N bytes.
	mux.HandleFunc("GET /down", func(w http.ResponseWriter, r *http.Request) { p.give(w, r) })
	// It has a Content-Length.
	mux.HandleFunc("GET /down-with-length", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", r.URL.Query().Get("size"))
		p.give(w, r)
	})
	// It has trailers, which make sdk-go send it in parts.
	mux.HandleFunc("GET /down-in-parts", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "Digest")
		p.give(w, r)
		w.Header().Set("Digest", "none")
	})
	// It flushes every write.
	mux.HandleFunc("GET /down-flushed", func(w http.ResponseWriter, r *http.Request) {
		p.give(flushed{w}, r)
	})
	// up reads everything, and answers with its length.
	mux.HandleFunc("POST /up", func(w http.ResponseWriter, r *http.Request) {
		n := p.take(r, io.Discard)
		_, _ = fmt.Fprint(w, n)
	})
	// through echoes content as it arrives.
	mux.HandleFunc("POST /through", func(w http.ResponseWriter, r *http.Request) { p.take(r, flushed{w}) })
	mux.HandleFunc("GET /fail", func(w http.ResponseWriter, r *http.Request) { fail(w, r, p.told) })
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.running.Add(1)
		defer p.running.Add(-1)
		mux.ServeHTTP(w, r)
	})
}

// flushed flushes every write.
type flushed struct{ http.ResponseWriter }

func (f flushed) Write(b []byte) (int, error) {
	n, err := f.ResponseWriter.Write(b)
	f.ResponseWriter.(http.Flusher).Flush()
	return n, err
}

func (p *program) give(w io.Writer, r *http.Request) {
	size, err := strconv.ParseInt(r.URL.Query().Get("size"), 10, 64)
	if err != nil {
		panic(err)
	}
	for size > 0 {
		n, err := w.Write(noise[:min(size, piece)])
		p.written.Add(int64(n))
		size -= int64(n)
		if err != nil {
			return
		}
	}
}

// take reads all content, as fast as the test allows.
func (p *program) take(r *http.Request, to io.Writer) (all int64) {
	buf := make([]byte, piece)
	for {
		p.mu.Lock()
		for p.limit >= 0 && p.read.Load() >= p.limit {
			p.allowed.Wait()
		}
		p.mu.Unlock()
		n, err := r.Body.Read(buf)
		p.read.Add(int64(n))
		all += int64(n)
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				return all
			}
		}
		if err != nil {
			return all
		}
	}
}
