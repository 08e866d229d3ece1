package peer

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"reversehttp/server/wire"
)

// pair is a home and an entry in front of it.
type pair struct {
	server *Server
	home   net.Listener
	pool   *Pool
	entry  *httptest.Server
	// failed receives what Carry returned for requests of the entry, if it is an error.
	failed chan error
}

// newPair starts a home with a handler, and an entry that carries all requests to it, once both are set.
func newPair(t *testing.T, handler http.HandlerFunc, keeps func() bool, set ...func(*pair)) *pair {
	t.Helper()
	return newPairOver(t, handler, keeps, nil, nil, set...)
}

// newPairOver is newPair for nodes that speak TLS.
func newPairOver(t *testing.T, handler http.HandlerFunc, keeps func() bool, serves, calls *tls.Config, set ...func(*pair)) *pair {
	t.Helper()
	home, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &pair{home: home, failed: make(chan error, 16), pool: &Pool{Node: "entry", Run: "e", TLS: calls}}
	p.server = &Server{Handler: handler, Keeps: func(string) bool { return keeps == nil || keeps() }, Node: "home", Run: "h", TLS: serves}
	for _, change := range set {
		change(p)
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = p.server.Serve(home)
	}()
	to := Node{Name: "home", Run: "h", Address: home.Addr().String()}
	p.entry = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		content := NewContent(w, r)
		defer content.Stop()
		if err := p.pool.Carry(w, r, content, to, "demo", nil); err != nil {
			p.failed <- err
			w.WriteHeader(http.StatusBadGateway)
		}
	}))
	t.Cleanup(func() {
		p.entry.Close()
		p.pool.Close()
		_ = home.Close()
		p.server.Close()
		<-served
	})
	return p
}

// get sends a request to the entry, and returns the response with its content.
func (p *pair) get(t *testing.T) (*http.Response, string) {
	t.Helper()
	resp, err := p.entry.Client().Get(p.entry.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	content, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(content)
}

func TestConnectionsAreUsedAgain(t *testing.T) {
	peers := map[string]bool{}
	p := newPair(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.RemoteAddr) }, nil)
	for range 3 {
		if resp, content := p.get(t); resp.StatusCode != http.StatusOK || content == "" {
			t.Fatalf("%d %q", resp.StatusCode, content)
		}
		p.pool.mu.Lock()
		for _, c := range p.pool.idle[p.home.Addr().String()] {
			peers[c.LocalAddr().String()] = true
		}
		p.pool.mu.Unlock()
	}
	if len(peers) != 1 {
		t.Errorf("%d connections carried three requests, one after another", len(peers))
	}
}

func TestANodeThatIsNotTheHomeSaysSo(t *testing.T) {
	p := newPair(t, func(http.ResponseWriter, *http.Request) { t.Error("the handler was called") }, func() bool { return false })
	if resp, _ := p.get(t); resp.StatusCode != http.StatusBadGateway {
		t.Errorf("status %d", resp.StatusCode)
	}
	if err := <-p.failed; !errors.Is(err, ErrMoved) {
		t.Errorf("got %v, want %v", err, ErrMoved)
	}
}

func TestAHomeThatIsNotThereIsUnreached(t *testing.T) {
	p := newPair(t, nil, nil)
	_ = p.home.Close()
	p.get(t)
	var lost *Lost
	if err := <-p.failed; !errors.As(err, &lost) || !lost.Unreached {
		t.Errorf("got %v, want an unreached home", err)
	}
}

func TestAHomeOfAnotherRunIsRefused(t *testing.T) {
	p := newPair(t, nil, nil)
	_, err := p.pool.connect(t.Context(), Node{Name: "home", Run: "earlier", Address: p.home.Addr().String()})
	if err == nil || !strings.Contains(err.Error(), "in run h") {
		t.Errorf("got %v", err)
	}
}

func TestAHomeThatEndsIsLostBeforeItAnswersAndCutAfter(t *testing.T) {
	began := make(chan struct{})
	var answers atomic.Bool
	p := newPair(t, func(w http.ResponseWriter, r *http.Request) {
		if answers.Load() {
			_, _ = io.WriteString(w, "half")
			_ = http.NewResponseController(w).Flush()
		}
		began <- struct{}{}
		<-r.Context().Done()
	}, nil)
	go func() {
		<-began
		p.pool.Drop(Node{Name: "home", Run: "h", Address: p.home.Addr().String()})
	}()
	if resp, _ := p.get(t); resp.StatusCode != http.StatusBadGateway {
		t.Errorf("status %d", resp.StatusCode)
	}
	var lost *Lost
	if err := <-p.failed; !errors.As(err, &lost) || lost.Unreached || lost.Before != nil {
		t.Errorf("got %v, want a home that was lost", err)
	}
	answers.Store(true)
	resp, err := p.entry.Client().Get(p.entry.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	half := make([]byte, 4)
	if _, err := io.ReadFull(resp.Body, half); err != nil {
		t.Fatal(err)
	}
	<-began
	p.pool.Drop(Node{Name: "home", Run: "h", Address: p.home.Addr().String()})
	if rest, err := io.ReadAll(resp.Body); err == nil {
		t.Errorf("%q%q and a clean end", half, rest)
	}
}

func TestAVisitorWhoLeavesEndsTheHandler(t *testing.T) {
	began, ended := make(chan struct{}), make(chan struct{})
	p := newPair(t, func(_ http.ResponseWriter, r *http.Request) {
		close(began)
		<-r.Context().Done()
		close(ended)
	}, nil)
	ctx, leave := context.WithCancel(t.Context())
	go func() {
		<-began
		leave()
	}()
	r, _ := http.NewRequestWithContext(ctx, http.MethodGet, p.entry.URL, nil)
	if resp, err := p.entry.Client().Do(r); err == nil {
		_ = resp.Body.Close()
		t.Error("there was a response")
	}
	<-ended
}

func TestContentIsReadNoFurtherThanTheHomeAsks(t *testing.T) {
	release := make(chan struct{})
	p := newPair(t, func(w http.ResponseWriter, r *http.Request) {
		<-release
		n, err := io.Copy(io.Discard, r.Body)
		if err != nil {
			t.Error(err)
		}
		w.Header().Set("Read", http.StatusText(http.StatusOK))
		_, _ = w.Write([]byte{byte(n >> 16)})
	}, nil)
	const size = 8 << 20
	sent := &counted{left: size}
	go func() {
		for sent.read.Load() == 0 {
			select {
			case <-t.Context().Done():
				return
			default:
			}
		}
		close(release)
	}()
	r, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, p.entry.URL, sent)
	r.ContentLength = size
	resp, err := p.entry.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if got, _ := io.ReadAll(resp.Body); len(got) != 1 || got[0] != byte(size>>16) {
		t.Errorf("the handler read %v times 64 KiB", got)
	}
}

// counted is content that counts what was read of it.
type counted struct {
	left int
	read atomic.Int64
}

func (c *counted) Read(p []byte) (int, error) {
	if c.left == 0 {
		return 0, io.EOF
	}
	n := min(len(p), c.left)
	c.left -= n
	c.read.Add(int64(n))
	return n, nil
}

// leaver is a response whose sender leaves as its end is written.
type leaver struct {
	http.ResponseWriter
	leave func()
}

func (l *leaver) Unwrap() http.ResponseWriter { return l.ResponseWriter }

func (l *leaver) SetWriteDeadline(t time.Time) error {
	l.leave()
	return nil
}

func TestWhoLeavesAtTheEndDoesNotDisturbTheNextRequest(t *testing.T) {
	p := newPair(t, func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.ReadAll(r.Body); err != nil {
			w.WriteHeader(http.StatusBadRequest)
		}
	}, nil)
	at := Node{Name: "home", Run: "h", Address: p.home.Addr().String()}
	carry := func(leaves bool) int {
		ctx, leave := context.WithCancel(t.Context())
		defer leave()
		r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/", strings.NewReader("x"))
		got := httptest.NewRecorder()
		var w http.ResponseWriter = got
		if leaves {
			w = &leaver{got, leave}
		}
		content := NewContent(w, r)
		defer content.Stop()
		defer func() { _ = recover() }() // http.ErrAbortHandler, if it left early enough
		if err := p.pool.Carry(w, r, content, at, "demo", nil); err != nil {
			t.Error(err)
		}
		return got.Code
	}
	for range 300 {
		carry(true)
		if status := carry(false); status != http.StatusOK {
			t.Fatalf("status %d for a request whose sender stayed", status)
		}
	}
}

// watched is a response whose sender net/http watches from the end of the content on: a read that is
// broken off there cancels the request.
type watched struct {
	http.ResponseWriter
	cancel context.CancelFunc
}

func (w *watched) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *watched) SetReadDeadline(t time.Time) error {
	if !t.IsZero() {
		w.cancel()
	}
	return nil
}

// endless is content that ends once the request is cancelled.
type endless struct{ ctx context.Context }

func (e endless) Read([]byte) (int, error) {
	<-e.ctx.Done()
	return 0, os.ErrDeadlineExceeded
}

func TestAnAnswerBeforeTheContentIsNotCutByBreakingTheReadOff(t *testing.T) {
	p := newPair(t, func(w http.ResponseWriter, r *http.Request) {
		wire.HangUp(w)
		w.WriteHeader(http.StatusRequestEntityTooLarge)
	}, nil)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/", endless{ctx})
	got := httptest.NewRecorder()
	w := &watched{got, cancel}
	content := NewContent(w, r)
	defer content.Stop()
	at := Node{Name: "home", Run: "h", Address: p.home.Addr().String()}
	if err := p.pool.Carry(w, r, content, at, "demo", nil); err != nil {
		t.Fatal(err)
	}
	if got.Code != http.StatusRequestEntityTooLarge {
		t.Errorf("status %d", got.Code)
	}
}

func TestAHomeThatIsNoHomeAnyMoreSaysWhatItJudged(t *testing.T) {
	var keeps atomic.Bool
	keeps.Store(true)
	p := newPair(t, func(w http.ResponseWriter, r *http.Request) {
		keeps.Store(false)
		wire.Judged(w, []string{"one", "two"})
		if !wire.Moves(w) {
			t.Error("the request does not move")
		}
	}, keeps.Load)
	if resp, _ := p.get(t); resp.StatusCode != http.StatusBadGateway {
		t.Errorf("status %d", resp.StatusCode)
	}
	var lost *Lost
	if err := <-p.failed; !errors.As(err, &lost) || lost.Err != ErrMoved || lost.Before == nil || len(lost.Before.Judged) != 2 {
		t.Errorf("got %v, want %v with what was judged", err, ErrMoved)
	}
}

func TestAHomeUpgradesForAClientWhoLeft(t *testing.T) {
	over := make(chan struct{})
	ctx, leave := context.WithCancel(t.Context())
	p := newPair(t, func(w http.ResponseWriter, r *http.Request) {
		defer close(over)
		leave()
		<-r.Context().Done()
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\n\r\n")
		if _, err := conn.Read(make([]byte, 1)); err != errLeft {
			t.Errorf("read: %v, want %v", err, errLeft)
		}
		_ = conn.Close()
	}, nil)
	r, _ := http.NewRequestWithContext(ctx, http.MethodGet, p.entry.URL, nil)
	if _, err := p.entry.Client().Do(r); err == nil {
		t.Error("there is a response")
	}
	<-over
}
