package wire

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// detaching is a server that detaches: it exposes the connection, naps until it is roused, and writes what it
// then receives.
func detaching(t *testing.T, shown chan<- *Detached, say <-chan string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/other" {
			return
		}
		if !Detach(w, r, false, func(_ context.Context, d *Detached) {
			d.Until(time.Now().Add(time.Hour))
			shown <- d
			d.Nap()
			d.Header().Set("Content-Length", "3")
			_, _ = io.WriteString(d, <-say)
		}) {
			t.Error("the connection stays")
		}
	}
}

// A connection returns with its place, which is closed once and may be reclaimed while the
// connection is idle.
func TestADetachedConnectionKeepsItsPlace(t *testing.T) {
	at, shown, say := newPlace(connectionWeight+readBuffer), make(chan *Detached), make(chan string, 1)
	_, address := serving(t, detaching(t, shown, say), &Options{Idle: time.Hour, Place: func(net.Addr) Place { return at }})
	c, in := says(t, address, "")
	for _, content := range []string{"one", "two"} {
		_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		say <- content
		(<-shown).Rouse()
		if status, got := hears(t, in); status != 200 || got != content {
			t.Fatalf("it got %d %q, want 200 %s", status, got, content)
		}
		_, _ = io.WriteString(c, "GET /other HTTP/1.1\r\nHost: a\r\n\r\n")
		if status, _ := hears(t, in); status != 200 {
			t.Fatalf("after it = %d, want 200", status)
		}
	}
	at.evict(io.EOF)
	<-at.ended
	at.mu.Lock()
	defer at.mu.Unlock()
	kinds := strings.Join(slices.DeleteFunc(at.said, func(s string) bool { return s[0] == '+' || s[0] == '-' }), " ")
	// It may be closed before it is idle again.
	if want := "wait" + strings.Repeat(" serve serve wait serve wait", 2); kinds != want+" close" && kinds != strings.TrimSuffix(want, " wait")+" close" {
		t.Errorf("it saw %q, want %q", kinds, want)
	}
}

// Content shorter or longer than its head says ends the connection.
func TestADetachedResponseOfAnotherLengthIsCut(t *testing.T) {
	for _, content := range []string{"12", "1234"} {
		shown, say := make(chan *Detached), make(chan string, 1)
		say <- content
		_, address := serving(t, detaching(t, shown, say), nil)
		_, in := says(t, address, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		(<-shown).Rouse()
		if resp, err := http.ReadResponse(in, nil); err == nil {
			if _, err = io.ReadAll(resp.Body); err == nil {
				t.Errorf("a response of %q arrived whole", content)
			}
		}
		if _, err := in.ReadByte(); err == nil {
			t.Error("the connection continues")
		}
	}
}

func TestAPanicEndsADetachedConnection(t *testing.T) {
	panicked := make(chan bool, 1)
	_, address := serving(t, func(w http.ResponseWriter, r *http.Request) {
		Detach(w, r, false, func(context.Context, *Detached) { panic("a bug") })
	}, &Options{Panicked: func() { panicked <- true }})
	_, in := says(t, address, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	if got, err := io.ReadAll(in); len(got) > 0 || err != nil {
		t.Errorf("it got %q %v, want the end", got, err)
	}
	<-panicked
}

// dead is a connection on which every deadline has passed.
type dead struct{ net.Conn }

func (dead) Read([]byte) (int, error)        { return 0, os.ErrDeadlineExceeded }
func (dead) SetReadDeadline(time.Time) error { return nil }

// Napping there without a bound would loop.
func TestAConnectionWhoseDeadlinesPassEarlyDoesNotNap(t *testing.T) {
	d := &Detached{response: response{conn: dead{}}}
	if d.Until(time.Now().Add(time.Hour)); d.Nap() {
		t.Error("it may nap again at once, though neither is its time over nor was it roused")
	}
	if d.Rouse(); !d.Nap() {
		t.Error("once roused it may not nap again")
	}
	if d.Until(past); !d.Nap() {
		t.Error("once its time is over it may not nap again")
	}
}
