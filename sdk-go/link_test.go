package reversehttp_test

import (
	"errors"
	"fmt"
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

// wantNoted compares a list of a gate.
func wantNoted(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s = %q, want %q", what, got, want)
	}
}

func TestALinkCarriesRequestsAndAnswers(t *testing.T) {
	overGate(t, reversehttp.Options{}, func(w http.ResponseWriter, r *http.Request) {
		content, _ := io.ReadAll(r.Body)
		fmt.Fprint(w, r.RequestURI, " ", len(content))
	}, func(t *testing.T, g *gate, s *reversehttp.Session) {
		l := <-g.links
		for name, want := range map[string]string{"Authorization": "Bearer t0", "Last-Event-Id": "0-x", "Sec-Websocket-Protocol": "reversehttp.1"} {
			if got := l.head.Get(name); got != want {
				t.Errorf("%s = %q, want %q", name, got, want)
			}
		}
		l.ask(asks(1, "POST", "/a", "hello"))
		l.want("response e1 200 /a 5")
		l.ask(asks(2, "GET", "/b", ""), asks(3, "GET", "/c", ""))
		got := []string{l.hear(), l.hear()}
		slices.Sort(got)
		wantNoted(t, "answers", got, "response e2 200 /b 0", "response e3 200 /c 0")
		// As JSON, with a message of an unknown type.
		l.say(`{"type":"future"}`)
		l.say(`{"cursor":"4-x","type":"request","id":"e4","attempt":1,"timeoutMs":60000,"method":"POST","target":"/d","url":"http://demo.gateway.test/d","base":%q,"httpVersion":"1.1","remoteAddr":"192.0.2.1:9","headers":[],"body":"text"}`, demo)
		l.want("response e4 200 /d 4")
		for _, id := range []string{"e1", "e2", "e3", "e4"} {
			l.judge(id, 0, "accepted")
		}
		wantNoted(t, "posts", g.noted(&g.posts))
	})
}

func TestALinkAcknowledges(t *testing.T) {
	var release chan bool // made in the bubble
	overGate(t, reversehttp.Options{}, func(w http.ResponseWriter, r *http.Request) { <-release }, func(t *testing.T, g *gate, s *reversehttp.Session) {
		release = make(chan bool)
		l := <-g.links
		l.ask(asks(1, "GET", "/", ""))
		synctest.Wait()
		l.say(`{"type":"ping"}`)
		l.want("pong 1-x")
		l.ask(asks(2, "GET", "/", "")) // too soon
		l.ask(asks(3, "POST", "/", strings.Repeat("x", 64<<10)))
		l.want("ack 3-x")
		time.Sleep(time.Second)
		l.ask(asks(4, "GET", "/", ""))
		l.want("ack 4-x")
		time.Sleep(time.Second)
		l.say(`{"type":"ping"}`)
		l.want("pong 4-x")
		close(release)
		for range 4 {
			l.hear()
		}
		for n := range 4 {
			l.judge(fmt.Sprint("e", n+1), 0, "accepted")
		}
	})
}

func TestPartsGoAsFarAsTheWindowsAllow(t *testing.T) {
	var goOn chan bool // made in the bubble
	piece := strings.Repeat("x", 64<<10)
	overGate(t, reversehttp.Options{}, func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		for range 12 {
			io.WriteString(w, piece)
		}
		<-goOn
	}, func(t *testing.T, g *gate, s *reversehttp.Session) {
		goOn = make(chan bool)
		l := <-g.links
		l.ask(asks(1, "GET", "/", ""))
		l.want("response e1 200 …", "part e1 1 65536 bytes …", "part e1 2 65536 bytes …", "part e1 3 65536 bytes …", "part e1 4 65536 bytes …")
		l.judge("e1", 0, "accepted")
		l.judge("e1", 1, "accepted")
		l.want("part e1 5 65536 bytes …")
		l.judge("e1", 2, "accepted")
		l.judge("e1", 3, "accepted")
		l.want("part e1 6 65536 bytes …", "part e1 7 65536 bytes …")
		// Everything in flight was quickly accepted, and the gateway accepts more. A stream leaves as much of
		// three quarters of the link's window as it takes.
		l.say(`{"type":"results","results":[{"id":"e1","status":"accepted","seq":4,"exchangeWindow":1048576}]}`)
		l.want("part e1 8 65536 bytes …", "part e1 9 65536 bytes …", "part e1 10 65536 bytes …")
		for seq := 5; seq <= 10; seq++ {
			l.judge("e1", seq, "accepted")
		}
		l.want("part e1 11 65536 bytes …", "part e1 12 65536 bytes …")
		goOn <- true
		l.want("part e1 13")
		for seq := 11; seq <= 13; seq++ {
			l.judge("e1", seq, "accepted")
		}
		wantNoted(t, "posts", g.noted(&g.posts))
	})
}

// Visitors who read nothing leave room for whole answers, and messages that find no room are posted.
func TestASlowVisitorDelaysNobody(t *testing.T) {
	const streams = 12
	piece := strings.Repeat("x", 64<<10)
	overGate(t, reversehttp.Options{}, func(w http.ResponseWriter, r *http.Request) {
		if r.RequestURI == "/whole" {
			io.WriteString(w, piece)
			return
		}
		w.(http.Flusher).Flush()
		for r.Context().Err() == nil {
			if _, err := io.WriteString(w, piece); err != nil {
				return
			}
		}
	}, func(t *testing.T, g *gate, s *reversehttp.Session) {
		l := <-g.links
		g.posting = time.Second // otherwise endless posts would take no time
		heard := make(chan string, 1000)
		go func() {
			for {
				m := l.hear()
				if !strings.HasPrefix(m, "ack") {
					heard <- m
				}
				if m == "broken" || strings.HasPrefix(m, "close") {
					return
				}
			}
		}()
		for n := range streams {
			l.ask(asks(n+1, "GET", "/stream", ""))
		}
		synctest.Wait()
		for n := range streams {
			l.judge(fmt.Sprint("e", n+1), 0, "accepted")
		}
		time.Sleep(time.Second)
		bytes := 0
		for len(heard) > 0 {
			if m := <-heard; strings.HasPrefix(m, "part") {
				bytes += 64 << 10
			}
		}
		if most := gateLinkWindow * 3 / 4; bytes > most || bytes < most/2 {
			t.Errorf("%d bytes of streams are unconfirmed, want up to %d", bytes, most)
		}
		for n := range 4 {
			l.ask(asks(100+n, "GET", "/whole", ""))
			if got, want := <-heard, fmt.Sprintf("response e%d 200 65536 bytes", 100+n); got != want {
				t.Errorf("the program sent %q, want %q", got, want)
			}
			l.judge(fmt.Sprint("e", 100+n), 0, "accepted")
		}
		posted := g.noted(&g.posts)
		if len(posted) == 0 {
			t.Error("nothing was posted of streams that find no room")
		}
	})
}

func TestUnconfirmedMessagesOfALinkArePosted(t *testing.T) {
	var goOn chan bool // made in the bubble
	overGate(t, reversehttp.Options{}, func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "answer to "+r.RequestURI)
		if r.RequestURI != "/stream" {
			return
		}
		w.(http.Flusher).Flush()
		for _, some := range []string{"one", "two", "three"} {
			io.WriteString(w, some)
			w.(http.Flusher).Flush()
			<-goOn
		}
	}, func(t *testing.T, g *gate, s *reversehttp.Session) {
		goOn = make(chan bool)
		l := <-g.links
		l.ask(asks(1, "GET", "/whole", ""))
		l.want("response e1 200 answer to /whole")
		l.ask(asks(2, "GET", "/stream", ""))
		l.want("response e2 200 answer to /stream …", "part e2 1 one …")
		goOn <- true
		l.want("part e2 2 two …")
		l.ask(asks(3, "GET", "/confirmed", ""))
		l.want("response e3 200 answer to /confirmed")
		l.judge("e3", 0, "accepted")
		l.judge("e2", 0, "accepted")
		l.judge("e2", 1, "accepted")
		synctest.Wait()
		l.conn.CloseNow()
		again := <-g.links
		wantNoted(t, "polls", g.noted(&g.polls), "link 0-x", "link 3-x")
		got := g.noted(&g.posts)
		slices.Sort(got)
		wantNoted(t, "posts", got, "part e2 2 two …", "response e1 200 answer to /whole")
		goOn <- true
		again.want("part e2 3 three …")
		goOn <- true
		again.want("part e2 4")
		again.judge("e2", 3, "accepted")
		again.judge("e2", 4, "accepted")
		wantNoted(t, "posts", g.noted(&g.posts)[2:])
		// A repeated request is begun once.
		again.ask(asks(1, "GET", "/whole", ""), asks(4, "GET", "/new", ""))
		again.want("response e4 200 answer to /new")
		again.judge("e4", 0, "accepted")
	})
}

// The beginning of a stream and its parts, none of them confirmed, are posted in order.
func TestAStreamIsPostedFromItsBeginning(t *testing.T) {
	var goOn chan bool // made in the bubble
	overGate(t, reversehttp.Options{}, func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		io.WriteString(w, "one")
		w.(http.Flusher).Flush()
		<-goOn
	}, func(t *testing.T, g *gate, s *reversehttp.Session) {
		goOn = make(chan bool)
		l := <-g.links
		l.ask(asks(1, "GET", "/", ""))
		l.want("response e1 200 …", "part e1 1 one …")
		l.conn.CloseNow()
		again := <-g.links
		wantNoted(t, "posts", g.noted(&g.posts), "response e1 200 …", "part e1 1 one …")
		goOn <- true
		again.want("part e1 2")
		again.judge("e1", 2, "accepted")
	})
}

func TestResultsOfALinkMeanWhatThoseOfAPostMean(t *testing.T) {
	var fails atomic.Bool
	overGate(t, reversehttp.Options{}, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X", "y")
		if r.RequestURI == "/stream" {
			for r.Context().Err() == nil {
				io.WriteString(w, "some")
				w.(http.Flusher).Flush()
				time.Sleep(time.Second)
			}
			_, err := io.WriteString(w, "more")
			fails.Store(err != nil)
		}
	}, func(t *testing.T, g *gate, s *reversehttp.Session) {
		l := <-g.links
		l.ask(asks(1, "GET", "/", ""))
		l.want("response e1 200")
		l.say(`{"type":"results","results":[{"id":"e1","status":"invalid","pointer":"/headers/0/1","detail":"not that"}]}`)
		l.want("response e1 500 Internal Server Error\n")
		l.judge("e1", 0, "accepted")
		l.ask(asks(2, "GET", "/stream", ""))
		l.want("response e2 200 some …")
		l.judge("e2", 0, "late")
		time.Sleep(2 * time.Second)
		if !fails.Load() {
			t.Error("a handler writes on whose answer is late")
		}
	})
}

// If a handler fails, the abort follows its parts.
func TestAnAbortFollowsThePartsOnALink(t *testing.T) {
	overGate(t, reversehttp.Options{}, func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "some")
		w.(http.Flusher).Flush()
		io.WriteString(w, "more")
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}, func(t *testing.T, g *gate, s *reversehttp.Session) {
		l := <-g.links
		l.ask(asks(1, "GET", "/", ""))
		l.want("response e1 200 some …", "part e1 1 more …", "abort e1 reversehttp: the handler gave up")
		l.judge("e1", 0, "accepted")
		l.judge("e1", 1, "accepted")
		l.judge("e1", 0, "accepted")
		wantNoted(t, "posts", g.noted(&g.posts))
	})
}

func TestInformationalResponsesGoAheadOnALink(t *testing.T) {
	overGate(t, reversehttp.Options{}, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</a.css>; rel=preload")
		w.WriteHeader(103)
		w.WriteHeader(204)
	}, func(t *testing.T, g *gate, s *reversehttp.Session) {
		l := <-g.links
		l.ask(asks(1, "GET", "/", ""))
		l.want("interim e1 103", "response e1 204")
		l.judge("e1", 0, "accepted")
		l.judge("e1", 0, "accepted")
		wantNoted(t, "posts", g.noted(&g.posts))
	})
}

func TestALinkThatWasReplacedIsOpenedAgain(t *testing.T) {
	var states []reversehttp.State
	o := reversehttp.Options{OnState: func(s reversehttp.State) { states = append(states, s) }}
	overGate(t, o, func(http.ResponseWriter, *http.Request) {}, func(t *testing.T, g *gate, s *reversehttp.Session) {
		l := <-g.links
		time.Sleep(2 * time.Second)
		l.conn.Close(websocket.StatusGoingAway, "")
		<-g.links
		synctest.Wait()
		if !slices.Equal(states, []reversehttp.State{reversehttp.Online}) {
			t.Errorf("states = %v, want no trouble", states)
		}
	})
}

// An error ends a link as it would end a poll.
func TestAnErrorOfALinkIsJudgedAsThatOfAPoll(t *testing.T) {
	overGate(t, reversehttp.Options{}, func(http.ResponseWriter, *http.Request) {}, func(t *testing.T, g *gate, s *reversehttp.Session) {
		for code, status := range map[string]int{"draining": 503, "session_fenced": 409, "no_session": 404, "bad_cursor": 400} {
			l := <-g.links
			l.say(`{"type":"error","code":%q,"status":%d,"title":"","retryAfterMs":1500}`, code, status)
			since := time.Now()
			l.conn.Close(websocket.StatusPolicyViolation, "")
			again := <-g.links
			if d := time.Since(since); d < 1500*time.Millisecond || d > 10*time.Second {
				t.Errorf("%s: claimed again after %v, want what was asked for", code, d)
			}
			if got := again.head.Get("Last-Event-Id"); got != "0-x" {
				t.Errorf("%s: the next link has the cursor %q, want that of a new session", code, got)
			}
			g.links <- again
		}
	})
}

func TestALinkIsNotOpenedWithAWrongToken(t *testing.T) {
	for _, told := range []string{"before", "after"} {
		synctest.Test(t, func(t *testing.T) {
			g := &gate{t: t, links: make(chan *gateLink, 1)}
			if told == "before" {
				g.refuses = func(w http.ResponseWriter, r *http.Request) {
					give(w, 403, map[string]any{"title": "Forbidden", "status": 403, "code": "token_wrong", "detail": ""})
				}
			}
			_, served := begin(t, listen(t, g), reversehttp.Options{Transport: reversehttp.TransportLink}, nil)
			if told == "after" {
				l := <-g.links
				l.say(`{"type":"error","code":"token_wrong","status":403,"title":""}`)
				l.conn.Close(websocket.StatusPolicyViolation, "")
			}
			if err := served(); !errors.Is(err, reversehttp.ErrTokenWrong) {
				t.Errorf("Serve = %v, want ErrTokenWrong", err)
			}
		})
	}
}

func TestALinkThatDoesNotPassIsTriedAgainAfterAWhile(t *testing.T) {
	status := func(code int, text string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(code)
			io.WriteString(w, text)
		}
	}
	for name, c := range map[string]struct {
		refuses http.HandlerFunc
		after   time.Duration
	}{
		"403": {status(403, "<p>no"), 0}, "404": {status(404, ""), 0}, "200": {status(200, strings.Repeat("x", 4000)), 0},
		"426": {func(w http.ResponseWriter, r *http.Request) {
			give(w, 426, map[string]any{"title": "Upgrade Required", "status": 426, "code": "upgrade_needed", "detail": ""})
		}, 0},
		"no subprotocol": {func(w http.ResponseWriter, r *http.Request) {
			conn, err := websocket.Accept(w, r, nil)
			if err == nil {
				conn.Read(r.Context())
			}
		}, 0},
		"swallowed": {func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, 4 * time.Second},
		"silent": {func(w http.ResponseWriter, r *http.Request) {
			conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"reversehttp.1"}})
			if err == nil {
				conn.Read(r.Context())
			}
		}, 4 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := &gate{t: t, refuses: c.refuses}
				s, served := begin(t, listen(t, g), reversehttp.Options{Transport: reversehttp.TransportAuto}, nil)
				time.Sleep(c.after + time.Millisecond)
				wantNoted(t, "polls", g.noted(&g.polls), "link 0-x", "application/vnd.reversehttp 0-x")
				if got := s.State(); got != reversehttp.Online {
					t.Errorf("state = %v, want online", got)
				}
				s.Close()
				served()
				time.Sleep(time.Minute)
			})
		})
	}
}

// A gateway that is silent for ten seconds counts as gone, unless it answers pings.
func TestALinkThatIsSilentIsLeft(t *testing.T) {
	overGate(t, reversehttp.Options{}, func(http.ResponseWriter, *http.Request) {}, func(t *testing.T, g *gate, s *reversehttp.Session) {
		l := <-g.links
		l.ask(asks(1, "GET", "/", ""))
		l.want("response e1 200")
		l.judge("e1", 0, "accepted")
		since := time.Now()
		for range 10 {
			time.Sleep(4 * time.Second)
			l.say(`{"type":"ping"}`)
			l.want("pong 1-x")
		}
		<-g.links
		if d := time.Since(since); d < 49*time.Second || d > 52*time.Second {
			t.Errorf("the link was left after %v, want 10 s of silence", d)
		}
	})
}

func TestALinkLastsWhileTheSessionDrains(t *testing.T) {
	var release chan bool // made in the bubble
	overGate(t, reversehttp.Options{}, func(w http.ResponseWriter, r *http.Request) {
		<-release
		io.WriteString(w, "done")
	}, func(t *testing.T, g *gate, s *reversehttp.Session) {
		release = make(chan bool)
		l := <-g.links
		l.ask(asks(1, "GET", "/", ""), asks(2, "GET", "/", ""))
		synctest.Wait()
		down := make(chan error)
		go func() { down <- s.Shutdown(t.Context()) }()
		time.Sleep(time.Second)
		l.say(`{"type":"ping"}`)
		l.want("pong 2-x")
		release <- true
		switch got := l.hear(); got {
		case "response e1 200 done":
			l.judge("e1", 0, "accepted")
		case "response e2 200 done":
			l.judge("e2", 0, "accepted")
		default:
			t.Errorf("the program sent %q, want an answer", got)
		}
		// A request that arrives now is for other sessions.
		l.ask(asks(3, "GET", "/", ""))
		l.want("close 1000")
		release <- true
		if err := <-down; err != nil {
			t.Error(err)
		}
		wantNoted(t, "left with", g.noted(&g.left), "2-x")
		if polls := g.noted(&g.polls); len(polls) != 1 {
			t.Errorf("polls = %q, want the link alone", polls)
		}
	})
}

func TestShutdownWhileALinkOpens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gate{t: t, refuses: func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() }}
		s, served := begin(t, listen(t, g), reversehttp.Options{Transport: reversehttp.TransportLink}, nil)
		synctest.Wait()
		since := time.Now()
		if err := s.Shutdown(t.Context()); err != nil {
			t.Errorf("Shutdown = %v", err)
		}
		if err := served(); err != reversehttp.ErrClosed || time.Since(since) > 0 {
			t.Errorf("Serve = %v after %v, want ErrClosed at once", err, time.Since(since))
		}
		wantNoted(t, "left with", g.noted(&g.left), "0-x")
	})
}

func TestAnInvalidTransportIsAnError(t *testing.T) {
	_, err := reversehttp.Claim(t.Context(), testOrigin, &reversehttp.Options{Transport: "pigeon"})
	if err == nil || !strings.Contains(err.Error(), "auto, link, poll, stream or framed") {
		t.Errorf("Claim with an invalid transport = %v, want an error that lists them", err)
	}
}
