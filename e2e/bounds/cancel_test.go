package bounds

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	reversehttp "reversehttp/sdk-go"
)

// How often a visitor leaves in each way.
const departures = 50

// The goal is that a handler knows within 100 ms. The test prints the times, and fails only if a handler
// never knows, since this machine may be busy.
func TestAVisitorWhoLeavesEndsTheContextOfItsHandler(t *testing.T) {
	t.Parallel()
	gateway := start(t, "as-gateway")
	s, err := reversehttp.Claim(t.Context(), gateway.at, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	at, ended := make(chan struct{}), make(chan time.Time)
	go func() { _ = s.Serve(stayers(at, ended)) }()

	const length, chunked = "Content-Length: 100000000\r\n", "Transfer-Encoding: chunked\r\n"
	for _, c := range []struct {
		name, method, target, fields, content string
		reads                                 int64
	}{
		{"while nothing is answered yet", "GET", "/wait", "", "", 0},
		{"with its content inline", "POST", "/wait", "Content-Length: 5\r\n", "hello", 0},
		{"while parts are answered", "GET", "/parts", "", "", 0},
		{"while an answer is silent", "GET", "/silent", "", "", 0},
		// If the machine is so slow that the answer goes in parts, less is written ahead.
		{"while content is answered as it is", "GET", "/raw", "", "", rawPieces * piece},
		{"while content is sent", "POST", "/read", length, strings.Repeat("a", 100_000), 0},
		{"while content of unknown length is sent", "POST", "/read", chunked, "5\r\nhello\r\n", 0},
		{"while content is sent and answered", "POST", "/through", length, strings.Repeat("a", 100_000), 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			var took []time.Duration
			for range departures {
				v := visit(t, s.URL(), c.method, c.target, c.fields)
				if _, err := io.WriteString(v, c.content); err != nil {
					t.Fatal(err)
				}
				if _, err := io.CopyN(io.Discard, v.reader, c.reads); err != nil {
					t.Fatal(err)
				}
				wait(t, at, "the handler is there")
				left := time.Now()
				_ = v.Close()
				took = append(took, wait(t, ended, "the handler knows").Sub(left))
			}
			slices.Sort(took)
			t.Logf("left %s: median %v, longest %v", c.name,
				took[len(took)/2].Round(10*time.Microsecond), took[len(took)-1].Round(10*time.Microsecond))
		})
	}
}

// rawPieces is more pieces than are buffered before an answer streams.
const rawPieces = 20

// stayers are handlers that stay until their visitor leaves. They report when they begin, if the path says
// so, and when their context ended.
func stayers(at chan<- struct{}, ended chan<- time.Time) http.Handler {
	mux := http.NewServeMux()
	handle := func(path string, do func(w http.ResponseWriter, r *http.Request, there func())) {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			known := make(chan time.Time, 1)
			go func() {
				<-r.Context().Done()
				known <- time.Now()
			}()
			do(w, r, func() { at <- struct{}{} })
			ended <- <-known
		})
	}
	handle("/wait", func(w http.ResponseWriter, r *http.Request, there func()) { there() })
	handle("/parts", func(w http.ResponseWriter, r *http.Request, there func()) {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for n := 0; r.Context().Err() == nil; n++ {
			_, _ = fmt.Fprintf(w, "data: %d\n\n", n)
			w.(http.Flusher).Flush()
			if n == 3 {
				there()
			}
			<-tick.C
		}
	})
	handle("/silent", func(w http.ResponseWriter, r *http.Request, there func()) {
		_, _ = io.WriteString(w, "begun")
		w.(http.Flusher).Flush()
		there()
	})
	handle("/raw", func(w http.ResponseWriter, r *http.Request, there func()) {
		for n := 0; r.Context().Err() == nil; n++ {
			_, _ = w.Write(noise)
			if n == rawPieces {
				go there()
			}
		}
	})
	handle("/read", func(w http.ResponseWriter, r *http.Request, there func()) {
		_, _ = io.ReadFull(r.Body, make([]byte, 5))
		there()
		_, _ = io.Copy(io.Discard, r.Body)
	})
	handle("/through", func(w http.ResponseWriter, r *http.Request, there func()) {
		_, _ = io.CopyN(w, r.Body, 5)
		w.(http.Flusher).Flush()
		there()
		_, _ = io.Copy(w, r.Body)
	})
	return mux
}

// wait receives.
func wait[T any](t *testing.T, from <-chan T, what string) (got T) {
	t.Helper()
	select {
	case got = <-from:
	case <-time.After(patience):
		t.Fatal("not in time: " + what)
	}
	return got
}
