package family

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"reversehttp/server/gateway"
)

const (
	turnHead   = "POST /ptth/demo HTTP/1.1\r\nHost: localhost:8080\r\nAuthorization: Bearer t0\r\nConnection: Upgrade\r\nUpgrade: PTTH/1.0\r\n\r\n"
	deviceHead = "POST /demo HTTP/1.1\r\nHost: localhost:8080\r\nAuthorization: Bearer t0\r\nConnection: Upgrade\r\nUpgrade: PTTH/1.0\r\n\r\n"
)

// The polls of old programs end as if nobody came, even if they poll again before the gateway is gone; and
// they poll once a second at most.
func TestAGatewayThatStopsSendsOldProgramsNo503(t *testing.T) {
	for name, c := range map[string]struct {
		ask    func(b *bubble) string
		status int // 0 is a connection that ends
		body   string
	}{
		"reversehttp": {func(b *bubble) string { return get(b.register("name=demo&token=t0")) }, 204, ""},
		"a Request URL of before": {func(b *bubble) string {
			return get(strings.TrimPrefix(reverseURLs{b.g.Public()}.fresh("demo", "t0"), "http://localhost:8080"))
		}, 204, ""},
		"comet2008": {func(*bubble) string { return queued("") }, 200, "{}"},
		"device":    {func(*bubble) string { return deviceHead }, 204, ""},
		"PTTH":      {func(*bubble) string { return turnHead }, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, gateway.Options{}, func(b *bubble) {
				ask := c.ask(b)
				ended := func(got *heard) {
					t.Helper()
					if c.status == 0 {
						if got.err == nil || got.head != "" {
							t.Errorf("answered %d %q, want the connection to end", got.StatusCode, got.head)
						}
						return
					}
					got.is(t, c.status, c.body)
					if next := got.link("next"); strings.HasPrefix(ask, "GET ") && !strings.Contains(ask, " "+next+" ") {
						t.Errorf("next = %q, want the same URL", next)
					}
				}
				waiting := b.begin(ask)
				if c.status == 0 { // a turned connection just ends
					waiting.wait().is(t, 101, "")
				}
				b.g.Registry().Drain(nil)
				if c.status == 0 {
					waiting = &later{t: t, l: waiting.l, done: make(chan struct{})}
					go func() {
						defer close(waiting.done)
						waiting.got = waiting.l.hear("GET")
					}()
				}
				ended(waiting.wait())
				asked, until := 0, time.Now().Add(10*time.Second)
				for ; time.Now().Before(until) && asked < 100; asked++ {
					ended(b.begin(ask).wait())
				}
				if asked > 10 {
					t.Errorf("it asked %d times in 10 s, want 10 at most", asked)
				}
				gone := b.begin(ask) // the gateway does not wait for programs that left
				_ = gone.l.Close()
				synctest.Wait()
				if n := b.g.Registry().Stats().Polls; n != 0 {
					t.Errorf("%d polls are open, want none to wait for", n)
				}
			})
		})
	}
}

// A program that accepts only 200 and 204 as answers survives a restart.
func TestAProgramOf2008SurvivesARestart(t *testing.T) {
	inBubble(t, gateway.Options{}, func(b *bubble) {
		at := b.register("name=demo&token=t0")
		answers, over := map[int]int{}, make(chan struct{})
		stop := make(chan struct{})
		go func() {
			defer close(over)
			for {
				select {
				case <-stop:
					return
				default:
				}
				l, err := b.connect(visitorAt)
				if err != nil {
					time.Sleep(time.Second)
					continue
				}
				l.say(get(at))
				got := l.hear("GET")
				_ = l.Close()
				if got.err != nil {
					continue
				}
				if answers[got.StatusCode]++; got.StatusCode != 200 && got.StatusCode != 204 {
					return // as those of the time do
				}
				if got.StatusCode == 200 {
					b.reply(at, okay)
				}
				if next := got.link("next"); next != "" {
					at = next
				}
			}
		}()
		b.visit("demo", "GET", "/1").wait().is(t, 200, "ok")
		b.g.Registry().Drain(nil)
		time.Sleep(5 * time.Second)
		b.restart(gateway.Options{}, false)
		time.Sleep(3 * time.Second)
		if got := b.visit("demo", "GET", "/2").wait(); got.StatusCode != 200 {
			t.Errorf("after the restart = %d %s, want the program to answer", got.StatusCode, got.body)
		}
		close(stop)
		<-over
		if delete(answers, 200); len(answers) != 1 || answers[204] == 0 {
			t.Errorf("other answers %v, want 204 alone", answers)
		}
	})
}

// A program serves visitors that come while the gateway stops, through every door, until it learns of the
// end.
func TestEveryDoorServesWhileTheGatewayStops(t *testing.T) {
	for name, serve := range programs {
		if apart[name] != "" {
			continue // it needs a process of its own, and is like reverse-h2
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, end := context.WithCancel(context.Background())
			stopped := make(chan struct{})
			t.Cleanup(func() { // after the program
				end()
				<-stopped
			})
			w := newTown(t, gateway.Options{Drain: 4 * patience, DrainDelay: 2 * patience})
			serve(w, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "served") }))
			go func() {
				defer close(stopped)
				w.Drain(ctx)
			}()
			for status := 0; status != http.StatusServiceUnavailable; {
				_, ready := w.send("GET /readyz HTTP/1.1\r\nHost: {host}\r\n\r\n")
				status = ready.StatusCode
			}
			for range 3 {
				_, resp := w.send("GET / HTTP/1.1\r\nHost: demo.{host}\r\n\r\n")
				content, err := io.ReadAll(resp.Body)
				if resp.StatusCode != http.StatusOK || string(content) != "served" || err != nil || !resp.Close {
					t.Errorf("a visitor got %d %q %v, close %v; want to be served, and that the connection ends", resp.StatusCode, content, err, resp.Close)
				}
			}
		})
	}
}
