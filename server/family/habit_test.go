package family

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"reversehttp/server/gateway"
)

// closers are programs that close connections without notice: how long a connection stays open after an
// answer, and how many connections the program has.
var closers = map[string]struct {
	open  time.Duration
	conns int
}{
	"at once":           {0, 8},
	"a moment later":    {3 * time.Millisecond, 8},
	"at once, of three": {0, 3},
	"when it is idle":   {50 * time.Millisecond, 8},
}

func TestAProgramThatClosesItsConnectionsLosesNoPOST(t *testing.T) {
	for name, c := range closers {
		for _, door := range []string{"ptth", "device"} {
			t.Run(name+" "+door, func(t *testing.T) {
				t.Parallel()
				w := newTown(t, gateway.Options{})
				ledger := &ledger{times: map[string]int{}}
				ledger.serve(w, door, c.conns, c.open)
				waitFor(t, func() bool { return w.Registry().Stats().Polls > 0 })
				client := w.visitor()
				var visitors sync.WaitGroup
				var mu sync.Mutex
				statuses := map[int]int{}
				for i := range 8 {
					visitors.Go(func() {
						for j := range 50 {
							resp, err := client.Post(w.Public().Base("demo"), "text/plain", strings.NewReader(fmt.Sprint(i, " ", j)))
							status := 0
							if err == nil {
								_, _ = io.Copy(io.Discard, resp.Body)
								resp.Body.Close()
								status = resp.StatusCode
							}
							mu.Lock()
							statuses[status]++
							mu.Unlock()
						}
					})
				}
				visitors.Wait()
				if statuses[200] != 400 {
					t.Errorf("answers %v, want 400 of 200", statuses)
				}
				ledger.mu.Lock()
				defer ledger.mu.Unlock()
				if len(ledger.times) != 400 {
					t.Errorf("%d requests reached the program, want 400", len(ledger.times))
				}
				for request, n := range ledger.times {
					if n != 1 {
						t.Errorf("%q was delivered %d times", request, n)
					}
				}
			})
		}
	}
}

// ledger counts requests by their content.
type ledger struct {
	mu    sync.Mutex // guards times
	times map[string]int
}

// serve makes a program serve demo on a number of connections, and close each one that has idled for a time
// after an answer.
func (l *ledger) serve(w *town, door string, conns int, open time.Duration) {
	head := map[string]string{"ptth": "POST /ptth/demo", "device": "POST /demo"}[door] + " HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer t0\r\nConnection: Upgrade\r\nUpgrade: PTTH/1.0\r\n\r\n"
	w.runs(func(ctx context.Context, running *sync.WaitGroup) {
		for range conns {
			running.Go(func() {
				for ctx.Err() == nil {
					c, err := w.dialTurned(ctx, head)
					if err != nil {
						return
					}
					stop := context.AfterFunc(ctx, func() { _ = c.Close() })
					in := bufio.NewReader(c)
					for {
						r, err := http.ReadRequest(in)
						if err != nil {
							break
						}
						content, _ := io.ReadAll(r.Body)
						l.mu.Lock()
						l.times[string(content)]++
						l.mu.Unlock()
						_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
						_ = c.SetReadDeadline(time.Now().Add(open))
					}
					_ = c.Close()
					stop()
				}
			})
		}
	})
}

// A connection is reused after an answer only if it has shown that it stays open.
func TestAConnectionIsReusedOnceItHasStayedOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &habit{}
		for _, step := range []struct {
			what string
			do   func()
			age  time.Duration
			want trust
		}{
			{"nothing is known", func() {}, 0, rest},
			{"it stayed open", h.kept, 0, use},
			{"it closed after 8 s", func() { h.closed(8 * time.Second) }, 3 * time.Second, use},
			{"it closed after 8 s, older", func() {}, 4 * time.Second, giveUp},
			{"it closed after 20 s", func() { h.closed(20 * time.Second) }, 4 * time.Second, giveUp},
			{"it closed at once", func() { h.closed(time.Millisecond) }, time.Millisecond, rest},
			{"it stayed open after that", h.kept, time.Millisecond, use},
		} {
			step.do()
			if got := h.trusts(step.age); got != step.want {
				t.Errorf("%s: %d after %v, want %d", step.what, got, step.age, step.want)
			}
		}
	})
}

func TestAProgramThatKeepsItsConnectionServesPOSTsOnIt(t *testing.T) {
	t.Parallel() // most of it waits
	eachWay(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(rw, r.RemoteAddr)
	}), func(t *testing.T, w *town, _ string) {
		first := w.visit("POST", "demo", "/", "x")
		first.got(200, "*")
		for range 20 {
			w.visit("POST", "demo", "/", "x").got(200, first.body)
		}
	})
}

func TestHabitsAreBounded(t *testing.T) {
	var h habits
	w := newTown(t, gateway.Options{})
	at := w.dial().RemoteAddr()
	one := h.of("demo", at)
	if h.of("demo", at) != one || h.of("other", at) == one {
		t.Error("a habit is that of a label and an address")
	}
	for i := range 3 * mostHabits {
		h.of(fmt.Sprint("l", i), at)
	}
	if len(h.all) > mostHabits {
		t.Errorf("%d habits are kept, want %d at most", len(h.all), mostHabits)
	}
}
