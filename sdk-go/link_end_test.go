package reversehttp_test

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	reversehttp "reversehttp/sdk-go"
)

// If links open but their messages are swallowed, the session falls back to another way, and tries a link
// again after a while.
func TestALinkThatIsSilentFromItsWelcomeOnIsNoUse(t *testing.T) {
	overGate(t, reversehttp.Options{Transport: reversehttp.TransportAuto}, func(http.ResponseWriter, *http.Request) {}, func(t *testing.T, g *gate, s *reversehttp.Session) {
		<-g.links
		time.Sleep(11 * time.Second)
		wantNoted(t, "polls", g.noted(&g.polls), "link 0-x", "application/vnd.reversehttp 0-x")
		if got := s.State(); got != reversehttp.Online {
			t.Errorf("state = %v, want online", got)
		}
		if t.Failed() {
			return
		}
		since := time.Now()
		g.cut <- true // ends the stream
		time.Sleep(5*time.Minute - time.Since(since) - 2*time.Second)
		if polls := g.noted(&g.polls); slices.Contains(polls[1:], "link 0-x") {
			t.Errorf("polls = %q, want no link within five minutes", polls)
		}
		time.Sleep(time.Minute)
		g.cut <- true
		<-g.links
	})
}

// A gateway that asks to retry a link later gets the next attempt at that time, and another way is not tried
// at once.
func TestALinkThatIsRefusedForATimeIsTriedAgainThen(t *testing.T) {
	for name, refuses := range map[string]http.HandlerFunc{
		"queue_full": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Retry-After", "3")
			give(w, 503, map[string]any{"title": "", "status": 503, "code": "queue_full", "detail": ""})
		},
		"rate_limited": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Retry-After", "3")
			give(w, 429, map[string]any{"title": "", "status": 429, "code": "rate_limited", "detail": ""})
		},
		"after the upgrade": func(w http.ResponseWriter, r *http.Request) {
			conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"reversehttp.1"}})
			if err != nil {
				return
			}
			_ = conn.Write(r.Context(), websocket.MessageText, []byte(`{"type":"error","code":"unavailable","status":503,"title":"","retryAfterMs":3000}`))
			_ = conn.Close(websocket.StatusTryAgainLater, "unavailable")
		},
		"a proxy": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Retry-After", "3")
			w.WriteHeader(502)
			io.WriteString(w, strings.Repeat("x", 4000))
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := &gate{t: t, links: make(chan *gateLink, 1)}
				var tried atomic.Bool
				g.refuses = func(w http.ResponseWriter, r *http.Request) {
					if tried.Swap(true) {
						g.open(w, r)
					} else {
						refuses(w, r)
					}
				}
				s, served := begin(t, listen(t, g), reversehttp.Options{Transport: reversehttp.TransportAuto}, nil)
				time.Sleep(2999 * time.Millisecond)
				wantNoted(t, "polls", g.noted(&g.polls), "link 0-x")
				time.Sleep(time.Second)
				wantNoted(t, "polls", g.noted(&g.polls), "link 0-x", "link 0-x")
				s.Close()
				served()
				time.Sleep(time.Minute)
			})
		})
	}
}

// A proxy that repeatedly answers in place of the gateway may not support upgrades.
func TestALinkThatAProxyRefusesTwiceIsNoUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gate{t: t, refuses: func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(504) }}
		s, served := begin(t, listen(t, g), reversehttp.Options{Transport: reversehttp.TransportAuto}, nil)
		time.Sleep(time.Second)
		wantNoted(t, "polls", g.noted(&g.polls), "link 0-x", "link 0-x", "application/vnd.reversehttp 0-x")
		s.Close()
		served()
		time.Sleep(time.Minute)
	})
}

// The gateway moves running exchanges to other sessions 2 s after the program closed its connection.
func TestADrainingSessionPollsAfterItsLinkEnded(t *testing.T) {
	var release chan bool // made in the bubble
	overGate(t, reversehttp.Options{}, func(w http.ResponseWriter, r *http.Request) { <-release }, func(t *testing.T, g *gate, s *reversehttp.Session) {
		release = make(chan bool)
		l := <-g.links
		l.ask(asks(1, "GET", "/", ""))
		synctest.Wait()
		down := make(chan error)
		go func() { down <- s.Shutdown(t.Context()) }()
		time.Sleep(5500 * time.Millisecond)
		wantNoted(t, "polls", g.noted(&g.polls), "link 0-x")
		l.conn.CloseNow()
		wantNoted(t, "polls", g.noted(&g.polls), "link 0-x", "application/json 1-x")
		time.Sleep(1500 * time.Millisecond)
		wantNoted(t, "polls", g.noted(&g.polls), "link 0-x", "application/json 1-x", "application/json 1-x")
		close(release)
		if err := <-down; err != nil {
			t.Error(err)
		}
	})
}

// Written data is no sign of life, and waiting data excuses no more than ten seconds.
func TestSilenceEndsALinkOnWhichMuchIsSent(t *testing.T) {
	piece := strings.Repeat("x", 64<<10)
	for name, c := range map[string]struct {
		reads bool
		after time.Duration
	}{"written": {true, 10 * time.Second}, "waiting": {false, 20 * time.Second}} {
		t.Run(name, func(t *testing.T) {
			overGate(t, reversehttp.Options{}, func(w http.ResponseWriter, r *http.Request) {
				w.(http.Flusher).Flush()
				for range 4 {
					io.WriteString(w, piece)
				}
				<-r.Context().Done()
			}, func(t *testing.T, g *gate, s *reversehttp.Session) {
				l := <-g.links
				for n := range 3 {
					l.ask(asks(n+1, "GET", "/", ""))
				}
				if c.reads {
					l.hearAll()
				}
				since := time.Now()
				<-g.links
				if d := time.Since(since); d < c.after || d > c.after+2*time.Second {
					t.Errorf("the link was left after %v, want %v", d, c.after)
				}
			})
		})
	}
}
