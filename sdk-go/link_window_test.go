package reversehttp_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	reversehttp "reversehttp/sdk-go"
)

// hearAll returns the program's messages from now on, as they arrive, except acknowledgements.
func (l *gateLink) hearAll() <-chan string {
	heard := make(chan string, 10_000)
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
	return heard
}

// A result raises the window of an exchange for the life of the link.
func TestALinkBeginsWithTheWindowOfItsWelcome(t *testing.T) {
	var goOn chan bool // made in the bubble
	piece := strings.Repeat("x", 64<<10)
	overGate(t, reversehttp.Options{}, func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		for range 4 {
			io.WriteString(w, piece)
		}
		<-goOn
		for range 12 {
			if _, err := io.WriteString(w, piece); err != nil {
				return
			}
		}
	}, func(t *testing.T, g *gate, s *reversehttp.Session) {
		goOn = make(chan bool)
		l := <-g.links
		l.ask(asks(1, "GET", "/", ""))
		l.want("response e1 200 …", "part e1 1 65536 bytes …", "part e1 2 65536 bytes …", "part e1 3 65536 bytes …", "part e1 4 65536 bytes …")
		for seq := range 4 {
			l.judge("e1", seq, "accepted")
		}
		l.say(`{"type":"results","results":[{"id":"e1","status":"accepted","seq":4,"exchangeWindow":1048576}]}`)
		synctest.Wait()
		l.conn.CloseNow()
		next := <-g.links
		heard := next.hearAll()
		synctest.Wait() // until the program uses it
		goOn <- true
		synctest.Wait()
		if got, want := len(heard), gateExchangeWindow/len(piece); got != want {
			t.Errorf("%d parts of an exchange are unconfirmed on a new link, want %d", got, want)
		}
		wantNoted(t, "posts", g.noted(&g.posts))
	})
}

// The beginning of an answer counts against the window of its exchange.
func TestAnAnswerBeginsWithNoMoreThanItsWindow(t *testing.T) {
	overGateOf(t, 32<<10, reversehttp.Options{}, func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, strings.Repeat("x", 40<<10))
		w.(http.Flusher).Flush()
		io.WriteString(w, "end")
	}, func(t *testing.T, g *gate, s *reversehttp.Session) {
		l := <-g.links
		l.ask(asks(1, "GET", "/", ""))
		l.want("part e1 1 end")
		l.judge("e1", 1, "accepted")
		wantNoted(t, "posts", g.noted(&g.posts), "response e1 200 40960 bytes …")
	})
}

// However small the parts, at most 4,096 messages of an exchange are unconfirmed.
func TestALinkHasFewMessagesOfAnExchangeUnconfirmed(t *testing.T) {
	const most = 4096
	var goOn chan bool // made in the bubble
	overGate(t, reversehttp.Options{}, func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		for {
			if _, err := io.WriteString(w, "x"); err != nil {
				return
			}
			w.(http.Flusher).Flush()
			<-goOn
		}
	}, func(t *testing.T, g *gate, s *reversehttp.Session) {
		goOn = make(chan bool)
		l := <-g.links
		heard := l.hearAll()
		l.ask(asks(1, "GET", "/", ""))
		if got, want := <-heard, "response e1 200 …"; got != want {
			t.Errorf("the first message = %q, want %q", got, want)
		}
		for seq := 1; seq < most; seq++ {
			if got, want := <-heard, fmt.Sprintf("part e1 %d x …", seq); got != want {
				t.Fatalf("the program sent %q, want %q", got, want)
			}
			goOn <- true
		}
		synctest.Wait()
		if len(heard) > 0 {
			t.Errorf("the program sent %q while %d messages are unconfirmed", <-heard, most)
		}
		l.judge("e1", 0, "accepted")
		if got, want := <-heard, "part e1 4096 x …"; got != want {
			t.Errorf("the message after a result = %q, want %q", got, want)
		}
		close(goOn)
		wantNoted(t, "posts", g.noted(&g.posts))
	})
}
