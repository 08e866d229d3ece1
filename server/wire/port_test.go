package wire

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"reversehttp/schema"
)

// told is a [Refuse] that writes the code and the detail.
func told(w http.ResponseWriter, code schema.Code, detail string) {
	w.WriteHeader(http.StatusTeapot)
	_, _ = fmt.Fprint(w, code, ": ", detail)
}

// serving serves h on a real port until the test ends, and returns the address.
func serving(t *testing.T, h http.HandlerFunc, o *Options) (p *Port, address string) {
	t.Helper()
	below, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p = New(h, told, o)
	server, served := p.Server(), make(chan error, 1)
	go func() { served <- server.Serve(Listen(p.Limit(below))) }()
	t.Cleanup(func() {
		_ = server.Close()
		<-served
		p.Close()
	})
	return p, below.Addr().String()
}

// says connects and writes bytes, and returns the connection and a reader of it.
func says(t *testing.T, address, what string) (net.Conn, *bufio.Reader) {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_, _ = io.WriteString(c, what)
	return c, bufio.NewReader(c)
}

// hears reads an answer.
func hears(t *testing.T, in *bufio.Reader) (status int, content string) {
	t.Helper()
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func TestAHandlerGetsRequestsUnchanged(t *testing.T) {
	_, address := serving(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprint(w, Target(r), " ", Malformed(r))
	}, nil)
	_, in := says(t, address, "GET /%zz?% HTTP/1.1\r\nHost: a\r\n\r\n")
	if _, got := hears(t, in); got != "/%zz?% " {
		t.Errorf("the handler saw %q", got)
	}
	_, in = says(t, address, "POST /%2 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
	if _, got := hears(t, in); !strings.HasPrefix(got, "bad_request: The request has both ") {
		t.Errorf("two framings got %q, want the words of refuse", got)
	}
	if rest, err := io.ReadAll(in); len(rest) > 0 || err != nil {
		t.Errorf("after two framings came %q %v, want the end", rest, err)
	}
	_, in = says(t, address, "GET / HTTP/1.1\r\n\r\n")
	if status, got := hears(t, in); status != http.StatusTeapot || !strings.HasPrefix(got, "bad_request: The request is malformed: missing required Host") {
		t.Errorf("what is not a request got %d %q, want the words of refuse", status, got)
	}
}

func TestAHostThatIsNotTheAuthorityIsMalformed(t *testing.T) {
	for host, want := range map[string]string{"a": " []", "b": "The request has a Host that is not its :authority; send one of them. [b]"} {
		var got string
		p := New(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			got = strings.TrimSpace(fmt.Sprint(Malformed(r), " ", r.Header["Host"]))
		}), told, nil)
		r := &http.Request{Method: "GET", ProtoMajor: 2, Host: "a", Header: http.Header{"Host": {host}}, Body: http.NoBody}
		p.serve(&refusal{header: http.Header{}}, r)
		if got != strings.TrimSpace(want) {
			t.Errorf("host %q: the handler saw %q, want %q", host, got, want)
		}
	}
}

// place is a [Place] of a number of bytes.
type place struct {
	mu    sync.Mutex
	left  int
	said  []string
	evict func(error)
	// waited is closed by the first call of Wait.
	waited chan struct{}
	first  sync.Once
	ended  chan struct{}
}

func newPlace(bytes int) *place {
	return &place{left: bytes, waited: make(chan struct{}), ended: make(chan struct{})}
}

func (p *place) note(what string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.said = append(p.said, what)
}

func (p *place) Grow(n int) bool {
	p.note(fmt.Sprint("+", n))
	if n > p.left {
		return false
	}
	p.left -= n
	return true
}

func (p *place) Shrink(n int) {
	p.note(fmt.Sprint("-", n))
	p.left += n
}
func (p *place) Wait() {
	p.note("wait")
	p.first.Do(func() { close(p.waited) })
}
func (p *place) Serve()                  { p.note("serve") }
func (p *place) Evictable(f func(error)) { p.evict = f }
func (p *place) Close() {
	p.note("close")
	close(p.ended) // panics the second time
}

func TestAConnectionHasAPlaceUntilItEnds(t *testing.T) {
	at := newPlace(1 << 20)
	_, address := serving(t, func(w http.ResponseWriter, r *http.Request) {}, &Options{Place: func(net.Addr) Place { return at }})
	c, in := says(t, address, "GET / HTTP/1.1\r\nHost: a\r\nX: "+strings.Repeat("x", 2*readBuffer)+"\r\n\r\n")
	_, _ = hears(t, in)
	_ = c.Close()
	<-at.ended
	grown, shrunk, kinds := 0, 0, ""
	for _, s := range at.said {
		var n int
		if _, err := fmt.Sscanf(s, "+%d", &n); err == nil {
			grown += n
			continue
		}
		if _, err := fmt.Sscanf(s, "-%d", &n); err == nil {
			shrunk += n
			continue
		}
		kinds += s + " "
	}
	if kinds != "wait serve wait close " {
		t.Errorf("it saw %q", kinds)
	}
	if grown != connectionWeight+shrunk || shrunk < readBuffer {
		t.Errorf("it grew by %d bytes and shrank by %d, want %d and the same for the head", grown, shrunk, connectionWeight)
	}
}

func TestAHeadThatFindsNoRoomEndsTheConnection(t *testing.T) {
	at := newPlace(connectionWeight + 100)
	_, address := serving(t, func(w http.ResponseWriter, r *http.Request) {}, &Options{Place: func(net.Addr) Place { return at }})
	_, in := says(t, address, "GET / HTTP/1.1\r\nHost: a\r\nX: "+strings.Repeat("x", 4*readBuffer))
	if got, _ := io.ReadAll(in); len(got) > 0 {
		t.Errorf("it saw %q", got)
	}
	<-at.ended
}

func TestAnIdleConnectionCanLoseItsPlace(t *testing.T) {
	at := newPlace(connectionWeight)
	_, address := serving(t, func(w http.ResponseWriter, r *http.Request) {}, &Options{Place: func(net.Addr) Place { return at }})
	_, in := says(t, address, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	_, _ = hears(t, in)
	at.evict(io.EOF)
	if got, _ := io.ReadAll(in); len(got) > 0 {
		t.Errorf("the peer, which has its answer, got %q", got)
	}
	<-at.ended
}

func TestAPeerThatMayBeSendingGetsAnErrorWhenItLosesItsPlace(t *testing.T) {
	for _, sealed := range []bool{false, true} {
		at := newPlace(connectionWeight)
		_, address := serving(t, nil, &Options{Sealed: sealed, Place: func(net.Addr) Place { return at }})
		_, in := says(t, address, "")
		<-at.waited
		at.evict(io.EOF)
		got, err := io.ReadAll(in)
		if told := strings.Contains(string(got), "queue_full: The connection was idle"); told == sealed || sealed && len(got) > 0 || err != nil {
			t.Errorf("sealed %v: the peer got %q %v", sealed, got, err)
		}
		<-at.ended
	}
}

func TestAPeerWithoutAPlaceGetsAnErrorInTheClear(t *testing.T) {
	short := newPlace(connectionWeight - 1)
	for _, sealed := range []bool{false, true} {
		for name, none := range map[string]Place{"none": nil, "too small": short} {
			short.ended = make(chan struct{})
			_, address := serving(t, nil, &Options{Sealed: sealed, Place: func(net.Addr) Place { return none }})
			_, in := says(t, address, "")
			got, err := io.ReadAll(in)
			if want := !sealed; strings.Contains(string(got), "queue_full: Too many connections") != want || !want && len(got) > 0 || err != nil {
				t.Errorf("%s, sealed %v: the peer got %q %v", name, sealed, got, err)
			}
			if none != nil {
				<-short.ended
			}
		}
	}
}

func TestSettleWaitsForBusyConnectionsOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(nil, told, nil)
		state := p.Server().ConnState
		a := newAccepted(nil, nil, nil)
		settled := func() bool {
			ctx, cancel := context.WithTimeout(t.Context(), closeTime)
			defer cancel()
			p.Settle(ctx)
			return ctx.Err() == nil
		}
		for _, c := range []struct {
			state http.ConnState
			want  bool
		}{{http.StateNew, true}, {http.StateActive, false}, {http.StateIdle, true}, {http.StateActive, false}, {http.StateHijacked, true}} {
			if state(a, c.state); settled() != c.want {
				t.Errorf("%v: settled = %v, want %v", c.state, !c.want, c.want)
			}
			if awaits := c.state == http.StateNew || c.state == http.StateActive; p.Awaits() != awaits {
				t.Errorf("%v: a request is awaited: %v, want %v", c.state, !awaits, awaits)
			}
			a.port = p
			if Taken((&http.Request{}).WithContext(context.WithValue(t.Context(), connKey{}, a))); p.Awaits() {
				t.Errorf("%v: a request is awaited that was taken", c.state)
			}
		}
	})
}
