package reversehttp_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	reversehttp "reversehttp/sdk-go"
	"reversehttp/server/family"
	"reversehttp/server/gateway"
)

// inBubble runs a real gateway, and a client for it, in fake time.
func inBubble(t *testing.T, run func(t *testing.T, g *gateway.Gateway, client *http.Client)) {
	synctest.Test(t, func(t *testing.T) {
		g, err := gateway.New(gateway.Options{PublicURL: "http://{label}.gateway.test/", Doors: family.Doors(family.Options{})})
		if err != nil {
			t.Fatal(err)
		}
		defer g.Close()
		run(t, g, listen(t, g))
		time.Sleep(time.Second) // net/http closes the connection of a cut stream slowly
	})
}

const testOrigin = "http://gateway.test"

// begin claims demo and serves it. The returned function waits for the end of Serve.
func begin(t *testing.T, client *http.Client, o reversehttp.Options, h http.HandlerFunc) (*reversehttp.Session, func() error) {
	t.Helper()
	o.Client = client
	if o.Transport == "" {
		o.Transport = transportOf(t)
	}
	if o.Label == "" {
		o.Label = "demo"
	}
	s, err := reversehttp.Claim(t.Context(), testOrigin, &o)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(h) }()
	return s, func() error { return <-served }
}

// visitor is a visitor's request in progress.
type visitor struct {
	leave  context.CancelFunc
	answer chan string // the status and the content, or the error
}

func visitURL(client *http.Client, method, url string) *visitor {
	ctx, cancel := context.WithCancel(context.Background())
	v := &visitor{leave: cancel, answer: make(chan string, 1)}
	go func() {
		req, err := http.NewRequestWithContext(ctx, method, url, nil)
		if err != nil {
			panic(err)
		}
		resp, err := client.Do(req)
		if err != nil {
			v.answer <- err.Error()
			return
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if resp.StatusCode >= 400 {
			b, _, _ = bytes.Cut(b, []byte("\n"))
		}
		v.answer <- fmt.Sprint(resp.StatusCode, " ", string(b), errText(err))
	}()
	return v
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return " " + err.Error()
}

// check compares a visitor's answer.
func check(t *testing.T, v *visitor, want string) {
	t.Helper()
	if got := <-v.answer; !strings.HasPrefix(got, want) {
		t.Errorf("visitor got %q, want %q", got, want)
	}
}

const demo = "http://demo.gateway.test/"

func TestATakenLabelIsAnErrorToBranchOn(t *testing.T) {
	inBubble(t, func(t *testing.T, _ *gateway.Gateway, client *http.Client) {
		c, err := reversehttp.Claim(t.Context(), testOrigin, &reversehttp.Options{Label: "demo", Client: client})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_, err = reversehttp.Claim(t.Context(), testOrigin, &reversehttp.Options{Label: "demo", Client: client})
		if !errors.Is(err, reversehttp.ErrLabelTaken) || errors.Is(err, reversehttp.ErrKeyWrong) {
			t.Errorf("Claim = %v, want ErrLabelTaken", err)
		}
		var refused *reversehttp.Error
		if !errors.As(err, &refused) || refused.Status != http.StatusForbidden {
			t.Errorf("Claim = %#v, want an Error with 403", err)
		}
		again, err := reversehttp.Claim(t.Context(), testOrigin, &reversehttp.Options{Label: "demo", Token: c.Token(), Client: client})
		if err != nil {
			t.Fatalf("Claim with the token = %v", err)
		}
		again.Close()
	})
}

func TestShutdownLetsRunningHandlersAnswer(t *testing.T) {
	overEach(t, shutdownLetsRunningHandlersAnswer)
}

func shutdownLetsRunningHandlersAnswer(t *testing.T) {
	inBubble(t, func(t *testing.T, _ *gateway.Gateway, client *http.Client) {
		release := make(chan bool)
		s, served := begin(t, client, reversehttp.Options{}, func(w http.ResponseWriter, r *http.Request) {
			<-release
			fmt.Fprint(w, "done ", r.Context().Err())
		})
		v := visitURL(client, "GET", demo)
		synctest.Wait()
		down := make(chan error)
		go func() { down <- s.Shutdown(t.Context()) }()
		// Longer than a gateway allows a session to be silent.
		time.Sleep(40 * time.Second)
		if got := s.State(); got != reversehttp.Online {
			t.Errorf("state while draining = %v, want online", got)
		}
		release <- true
		check(t, v, "200 done <nil>")
		if err := <-down; err != nil {
			t.Errorf("Shutdown = %v", err)
		}
		if err := served(); err != reversehttp.ErrClosed {
			t.Errorf("Serve = %v, want ErrClosed", err)
		}
		if got := s.State(); got != reversehttp.Closed {
			t.Errorf("state = %v, want closed", got)
		}
	})
}

func TestRequestsDuringShutdownMoveOn(t *testing.T) { overEach(t, requestsDuringShutdownMoveOn) }

func requestsDuringShutdownMoveOn(t *testing.T) {
	inBubble(t, func(t *testing.T, _ *gateway.Gateway, client *http.Client) {
		release := make(chan bool)
		s, served := begin(t, client, reversehttp.Options{}, func(w http.ResponseWriter, r *http.Request) {
			<-release
			io.WriteString(w, "first")
		})
		v := visitURL(client, "GET", demo)
		synctest.Wait()
		go s.Shutdown(t.Context())
		time.Sleep(3 * time.Second)
		// The next poll, a sign of life, finds this request, which no other session would take; as a POST it
		// must not run twice.
		late := visitURL(client, "POST", demo)
		time.Sleep(3 * time.Second)
		heir, heirServed := begin(t, client, reversehttp.Options{Token: s.Token()}, func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, "heir")
		})
		release <- true
		check(t, v, "200 first")
		served()
		check(t, late, "200 heir")
		heir.Close()
		heirServed()
	})
}

func TestShutdownThatTakesTooLongCloses(t *testing.T) { overEach(t, shutdownThatTakesTooLongCloses) }

func shutdownThatTakesTooLongCloses(t *testing.T) {
	inBubble(t, func(t *testing.T, _ *gateway.Gateway, client *http.Client) {
		s, served := begin(t, client, reversehttp.Options{}, func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		v := visitURL(client, "POST", demo)
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); err != context.DeadlineExceeded {
			t.Errorf("Shutdown = %v, want the error of its context", err)
		}
		if err := served(); err != reversehttp.ErrClosed {
			t.Errorf("Serve = %v, want ErrClosed", err)
		}
		check(t, v, "502")
	})
}

func TestCloseCancelsHandlersAndMayComeTwice(t *testing.T) {
	overEach(t, closeCancelsHandlersAndMayComeTwice)
}

func closeCancelsHandlersAndMayComeTwice(t *testing.T) {
	inBubble(t, func(t *testing.T, _ *gateway.Gateway, client *http.Client) {
		var cause error
		s, served := begin(t, client, reversehttp.Options{}, func(w http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
			cause = context.Cause(r.Context())
		})
		v := visitURL(client, "POST", demo)
		synctest.Wait()
		begun := time.Now()
		if err := errors.Join(s.Close(), s.Close()); err != nil {
			t.Errorf("Close = %v", err)
		}
		if err := served(); err != reversehttp.ErrClosed || cause != reversehttp.ErrClosed {
			t.Errorf("Serve = %v, the handler's cause %v; want ErrClosed twice", err, cause)
		}
		// The gateway knows, so the visitor does not wait until the session is missed.
		check(t, v, "502")
		if d := time.Since(begun); d > time.Second {
			t.Errorf("it took %v", d)
		}
		if err := s.Serve(nil); err != reversehttp.ErrClosed {
			t.Errorf("Serve after Close = %v, want ErrClosed", err)
		}
	})
}

func TestServeAfterCloseReturnsErrClosed(t *testing.T) {
	inBubble(t, func(t *testing.T, _ *gateway.Gateway, client *http.Client) {
		s, err := reversehttp.Claim(t.Context(), testOrigin, &reversehttp.Options{Client: client})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Shutdown(t.Context()); err != nil {
			t.Errorf("Shutdown = %v", err)
		}
		if err := s.Serve(nil); err != reversehttp.ErrClosed {
			t.Errorf("Serve = %v, want ErrClosed", err)
		}
	})
}

func TestServeTwiceIsAnError(t *testing.T) {
	inBubble(t, func(t *testing.T, _ *gateway.Gateway, client *http.Client) {
		s, served := begin(t, client, reversehttp.Options{}, nil)
		synctest.Wait()
		if err := s.Serve(nil); err == nil || errors.Is(err, reversehttp.ErrClosed) {
			t.Errorf("second Serve = %v, want an error that is not ErrClosed", err)
		}
		s.Close()
		served()
	})
}

func TestAVisitorWhoLeavesCancelsTheHandler(t *testing.T) {
	overEach(t, aVisitorWhoLeavesCancelsTheHandler)
}

func aVisitorWhoLeavesCancelsTheHandler(t *testing.T) {
	inBubble(t, func(t *testing.T, _ *gateway.Gateway, client *http.Client) {
		cause := make(chan error, 1)
		var write error
		s, served := begin(t, client, reversehttp.Options{}, func(w http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
			_, write = io.WriteString(w, "anyone?")
			cause <- context.Cause(r.Context())
		})
		v := visitURL(client, "GET", demo)
		synctest.Wait()
		v.leave()
		if got := (<-cause).Error(); got != "reversehttp: the visitor left" || write == nil {
			t.Errorf("cause = %q, Write = %v; want that the visitor left, and an error", got, write)
		}
		s.Close()
		served()
	})
}

func TestTheTimeForAnAnswerEndsTheContext(t *testing.T) {
	overEach(t, theTimeForAnAnswerEndsTheContext)
}

func theTimeForAnAnswerEndsTheContext(t *testing.T) {
	inBubble(t, func(t *testing.T, _ *gateway.Gateway, client *http.Client) {
		var after time.Duration
		s, served := begin(t, client, reversehttp.Options{Timeout: 3 * time.Second}, func(w http.ResponseWriter, r *http.Request) {
			begun := time.Now()
			<-r.Context().Done()
			after = time.Since(begun)
		})
		check(t, visitURL(client, "GET", demo), "504")
		s.Close()
		served()
		if after.Round(100*time.Millisecond) != 3*time.Second {
			t.Errorf("the context ended after %v, want 3s", after)
		}
	})
}

func TestConcurrencyBoundsRunningHandlers(t *testing.T) {
	overEach(t, concurrencyBoundsRunningHandlers)
}

func concurrencyBoundsRunningHandlers(t *testing.T) {
	inBubble(t, func(t *testing.T, _ *gateway.Gateway, client *http.Client) {
		var mu sync.Mutex
		now, most := 0, 0
		s, served := begin(t, client, reversehttp.Options{Concurrency: 2}, func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			now++
			most = max(most, now)
			mu.Unlock()
			time.Sleep(time.Second)
			mu.Lock()
			now--
			mu.Unlock()
		})
		visitors := make([]*visitor, 7)
		for i := range visitors {
			visitors[i] = visitURL(client, "GET", demo)
		}
		for _, v := range visitors {
			check(t, v, "200")
		}
		if most != 2 {
			t.Errorf("%d handlers ran at once, want 2", most)
		}
		s.Close()
		served()
	})
}

func TestAPanicAnswersAndIsLogged(t *testing.T) { overEach(t, aPanicAnswersAndIsLogged) }

func aPanicAnswersAndIsLogged(t *testing.T) {
	inBubble(t, func(t *testing.T, _ *gateway.Gateway, client *http.Client) {
		var b bytes.Buffer
		log := slog.New(slog.NewTextHandler(&b, &slog.HandlerOptions{Level: slog.LevelError}))
		s, served := begin(t, client, reversehttp.Options{Logger: log}, func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, "begun")
			switch r.URL.Path {
			case "/panic":
				panic("oh")
			case "/goexit":
				runtime.Goexit()
			}
			panic(http.ErrAbortHandler)
		})
		check(t, visitURL(client, "GET", demo+"abort"), "502")
		if b.Len() != 0 {
			t.Errorf("ErrAbortHandler was logged: %s", &b)
		}
		check(t, visitURL(client, "GET", demo+"panic"), "500 Internal Server Error")
		check(t, visitURL(client, "GET", demo+"goexit"), "500")
		s.Close()
		served()
		if got := b.String(); !strings.Contains(got, "panic=oh") || !strings.Contains(got, "session_test.go") {
			t.Errorf("log = %q, want the panic and its stack", got)
		}
	})
}

func TestAnAnswerThatCannotBeSentBecomes500(t *testing.T) {
	overEach(t, anAnswerThatCannotBeSentBecomes500)
}

func anAnswerThatCannotBeSentBecomes500(t *testing.T) {
	inBubble(t, func(t *testing.T, _ *gateway.Gateway, client *http.Client) {
		var b bytes.Buffer
		log := slog.New(slog.NewTextHandler(&b, &slog.HandlerOptions{Level: slog.LevelError}))
		s, served := begin(t, client, reversehttp.Options{Logger: log}, func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/status":
				w.WriteHeader(700)
			case "/switch":
				w.WriteHeader(101)
			case "/short":
				w.Header().Set("Content-Length", "9")
				io.WriteString(w, "short")
			case "/large":
				w.Header().Set("X-Large", strings.Repeat("x", 17<<20))
			case "/large-flushed":
				w.Header().Set("X-Large", strings.Repeat("x", 17<<20))
				if err := http.NewResponseController(w).Flush(); err == nil {
					panic("flushed")
				}
			case "/status-flushed":
				w.WriteHeader(700)
				w.(http.Flusher).Flush()
			case "/nul": // the gateway refuses it
				w.Header().Set("X-Nul", "a\x00b")
			}
		})
		for _, path := range []string{"status", "switch", "short", "large", "large-flushed", "status-flushed", "nul"} {
			b.Reset()
			check(t, visitURL(client, "GET", demo+path), "500 Internal Server Error")
			synctest.Wait()
			if !strings.Contains(b.String(), "answer ") {
				t.Errorf("/%s: log = %q, want what is wrong", path, &b)
			}
		}
		s.Close()
		served()
	})
}

func TestDeleteGivesTheLabelUp(t *testing.T) { overEach(t, deleteGivesTheLabelUp) }

func deleteGivesTheLabelUp(t *testing.T) {
	inBubble(t, func(t *testing.T, _ *gateway.Gateway, client *http.Client) {
		s, served := begin(t, client, reversehttp.Options{}, nil)
		other, otherServed := begin(t, client, reversehttp.Options{Token: s.Token()}, nil)
		synctest.Wait()
		if err := s.Delete(t.Context()); err != nil {
			t.Errorf("Delete = %v", err)
		}
		if err := served(); err != reversehttp.ErrClosed {
			t.Errorf("Serve = %v, want ErrClosed", err)
		}
		if err := otherServed(); !errors.Is(err, reversehttp.ErrClaimDeleted) {
			t.Errorf("Serve of the other = %v, want ErrClaimDeleted", err)
		}
		if got := other.State(); got != reversehttp.Closed {
			t.Errorf("state of the other = %v, want closed", got)
		}
		other.Close()
		free, err := reversehttp.Claim(t.Context(), testOrigin, &reversehttp.Options{Label: "demo", Client: client})
		if err != nil {
			t.Fatalf("Claim of the label that was given up = %v", err)
		}
		free.Close()
	})
}

func TestASessionSurvivesItsGateway(t *testing.T) { overEach(t, aSessionSurvivesItsGateway) }

func aSessionSurvivesItsGateway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var g *gateway.Gateway
		replace := func() (before *gateway.Gateway) {
			fresh, err := gateway.New(gateway.Options{PublicURL: "http://{label}.gateway.test/", Doors: family.Doors(family.Options{})})
			if err != nil {
				t.Fatal(err)
			}
			mu.Lock()
			defer mu.Unlock()
			before, g = g, fresh
			return before
		}
		replace()
		client := listen(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			now := g
			mu.Unlock()
			now.ServeHTTP(w, r)
		}))
		var states []string
		var logged safeBuffer
		log := slog.New(slog.NewTextHandler(&logged, nil))
		s, served := begin(t, client, reversehttp.Options{Logger: log, OnState: func(s reversehttp.State) { states = append(states, s.String()) }},
			func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "here") })
		check(t, visitURL(client, "GET", demo), "200 here")
		before := replace()
		before.Drain(t.Context())
		before.Close()
		time.Sleep(5 * time.Second)
		check(t, visitURL(client, "GET", demo), "200 here")
		s.Close()
		served()
		if got, want := fmt.Sprint(states), "[online reconnecting online closed]"; got != want {
			t.Errorf("states = %s, want %s", got, want)
		}
		by := map[reversehttp.Transport]string{"poll": "batches", "stream": "a stream", "framed": "a framed stream", "link": "a link"}[transportOf(t)]
		for line, want := range map[string]int{"requests come by " + by: 2, "requests come": 2, "claimed again": 1} {
			if n := strings.Count(logged.String(), line); n != want {
				t.Errorf("%q was logged %d times, want %d:\n%s", line, n, want, logged.String())
			}
		}
		mu.Lock()
		g.Close()
		mu.Unlock()
	})
}

// A session that was cut off comes back: its handlers continue, are not begun again, and their answers reach
// the visitors.
func TestAnAnswerFollowsItsExchangeToTheNextSession(t *testing.T) {
	inBubble(t, func(t *testing.T, _ *gateway.Gateway, client *http.Client) {
		cut := &cutter{base: client.Transport}
		release := make(chan bool)
		handled := 0
		s, served := begin(t, &http.Client{Transport: cut}, reversehttp.Options{Timeout: 5 * time.Minute}, func(w http.ResponseWriter, r *http.Request) {
			handled++
			<-release
			io.WriteString(w, "at last")
		})
		v := visitURL(client, "GET", demo)
		synctest.Wait()
		other, otherServed := begin(t, client, reversehttp.Options{Token: s.Token()}, func(w http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
		})
		cut.cut(true)
		time.Sleep(15 * time.Second) // the gateway counts the session as lost, and moves the exchange to the other
		if got := s.State(); got != reversehttp.Reconnecting {
			t.Errorf("state without a network = %v, want reconnecting", got)
		}
		cut.cut(false)
		for s.State() != reversehttp.Online {
			time.Sleep(time.Second)
		}
		close(release) // the answer by the new session is refused, since the exchange belongs to the other
		synctest.Wait()
		other.Close()
		otherServed()
		check(t, v, "200 at last")
		s.Close()
		served()
		if handled != 1 {
			t.Errorf("the handler was called %d times, want 1", handled)
		}
	})
}

// cutter is a network that can be cut.
type cutter struct {
	base http.RoundTripper

	mu   sync.Mutex // guards the fields below
	down bool
	stop []context.CancelFunc
}

func (c *cutter) cut(down bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.down = down
	for _, stop := range c.stop {
		stop()
	}
	c.stop = nil
}

func (c *cutter) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancel(r.Context())
	c.mu.Lock()
	down := c.down
	c.stop = append(c.stop, cancel)
	c.mu.Unlock()
	if down {
		cancel()
		return nil, errors.New("the network is cut")
	}
	return c.base.RoundTrip(r.WithContext(ctx))
}

func TestAnotherTokenEndsTheSession(t *testing.T) {
	inBubble(t, func(t *testing.T, _ *gateway.Gateway, client *http.Client) {
		s, served := begin(t, client, reversehttp.Options{}, nil)
		synctest.Wait()
		req, _ := http.NewRequest("PATCH", testOrigin+"/claims/demo", strings.NewReader(`{"token":"another-token-of-hers"}`))
		req.Header.Set("Authorization", "Bearer "+s.Token())
		req.Header.Set("Content-Type", "application/json")
		resp, err := client.Do(req)
		if err != nil || resp.StatusCode != 200 {
			t.Fatalf("PATCH = %v, %v", resp, err)
		}
		resp.Body.Close()
		time.Sleep(30 * time.Second)
		if err := served(); !errors.Is(err, reversehttp.ErrTokenWrong) {
			t.Errorf("Serve = %v, want ErrTokenWrong", err)
		}
		s.Close()
	})
}

func TestAKeyOpensAGatewayThatNeedsOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, err := gateway.New(gateway.Options{PublicURL: "http://{label}.gateway.test/", Keys: []string{"k"}})
		if err != nil {
			t.Fatal(err)
		}
		defer g.Close()
		client := listen(t, g)
		for key, want := range map[string]error{"": reversehttp.ErrKeyNeeded, "x": reversehttp.ErrKeyWrong, "k": nil} {
			s, err := reversehttp.Claim(t.Context(), testOrigin, &reversehttp.Options{Key: key, Client: client})
			if !errors.Is(err, want) {
				t.Errorf("Claim with key %q = %v, want %v", key, err, want)
			}
			if err == nil {
				s.Close()
			}
		}
	})
}

func TestClaimReportsAServerThatIsNotAGateway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := listen(t, http.NotFoundHandler())
		for _, origin := range []string{testOrigin, "gateway.test", "ftp://gateway.test", "http://%zz"} {
			if s, err := reversehttp.Claim(t.Context(), origin, &reversehttp.Options{Client: client}); err == nil {
				s.Close()
				t.Errorf("Claim at %q succeeded", origin)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := reversehttp.Claim(ctx, testOrigin, &reversehttp.Options{Client: client}); !errors.Is(err, context.Canceled) {
			t.Errorf("Claim with an ended context = %v, want its error", err)
		}
	})
}
