package reversehttp_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"reversehttp/schema/vectors"
	reversehttp "reversehttp/sdk-go"
)

// polled plays a gateway that streams, in fake time. It notes each poll with its time and form, and answers
// it with the next of the answers, or the last one. It returns the polls within the time, and the states.
func polled(t *testing.T, within time.Duration, answers ...func(http.ResponseWriter, *http.Request)) (polls []string, states []reversehttp.State) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex // guards polls and noted
		var noted []reversehttp.State
		begun := time.Now()
		g := &scripted{origin: testOrigin, script: vectors.Scripted{Transports: []string{"json", "ndjson", "sse"}}}
		client := listen(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/requests" {
				g.ServeHTTP(w, r)
				return
			}
			form := vectors.FormOf(r.Header.Get("Accept"))
			if p := r.Header.Get("Prefer"); p != "" {
				form += " " + p
			}
			mu.Lock()
			n := len(polls)
			polls = append(polls, fmt.Sprint(time.Since(begun).Round(time.Second), " ", form))
			mu.Unlock()
			answers[min(n, len(answers)-1)](w, r)
		}))
		o := reversehttp.Options{OnState: func(s reversehttp.State) {
			mu.Lock()
			defer mu.Unlock()
			noted = append(noted, s)
		}}
		s, served := begin(t, client, o, func(w http.ResponseWriter, r *http.Request) {})
		time.Sleep(within)
		mu.Lock()
		states = slices.Clone(noted)
		mu.Unlock()
		s.Close()
		served()
		time.Sleep(time.Second) // the handlers notice
	})
	return polls, states
}

// open streams text and stays open for a while; negative means for ever.
func open(text string, lasting time.Duration) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/x-ndjson; charset=utf-8")
		io.WriteString(w, text)
		w.(http.Flusher).Flush()
		for until := time.Now().Add(lasting); r.Context().Err() == nil && (lasting < 0 || time.Now().Before(until)); {
			time.Sleep(100 * time.Millisecond)
		}
	}
}

// beating streams heartbeats.
func beating(w http.ResponseWriter, r *http.Request) {
	for r.Context().Err() == nil {
		open("\n", 10*time.Second)(w, r)
	}
}

func parked(w http.ResponseWriter, r *http.Request) {
	wait, _ := time.ParseDuration(strings.TrimPrefix(r.Header.Get("Prefer"), "wait=") + "s")
	select {
	case <-time.After(wait):
	case <-r.Context().Done():
	}
	w.WriteHeader(204)
}

func wantPolls(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("polls = %q, want %q", got, want)
	}
}

func TestAStreamThatIsKeptBackIsTriedAgainAfterAWhile(t *testing.T) {
	polls, states := polled(t, 700*time.Second, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Prefer") != "" {
			parked(w, r)
			return
		}
		<-r.Context().Done()
	})
	want := []string{"0s ndjson", "4s json wait=0"}
	for at := 4; at < 304; at += 25 {
		want = append(want, fmt.Sprint(time.Duration(at)*time.Second, " json wait=25"))
	}
	want = append(want, "5m4s ndjson", "5m8s json wait=0")
	wantPolls(t, polls[:len(want)], want...)
	if !slices.Equal(states, []reversehttp.State{reversehttp.Online}) {
		t.Errorf("states = %v, want no trouble", states)
	}
}

func TestASilentStreamIsAFailedPoll(t *testing.T) {
	polls, states := polled(t, 60*time.Second, open("\n", -1), parked)
	wantPolls(t, polls, "0s ndjson", "35s json wait=0", "35s json wait=25")
	if want := []reversehttp.State{reversehttp.Online, reversehttp.Reconnecting, reversehttp.Online}; !slices.Equal(states, want) {
		t.Errorf("states = %v, want %v", states, want)
	}
}

func TestAStreamWithHeartbeatsStaysOpen(t *testing.T) {
	polls, _ := polled(t, time.Hour, beating)
	wantPolls(t, polls, "0s ndjson")
}

func TestANewSessionAsksForAStreamAgain(t *testing.T) {
	fenced := func(w http.ResponseWriter, r *http.Request) {
		give(w, 409, map[string]any{"title": "Conflict", "status": 409, "code": "session_fenced", "detail": ""})
	}
	polls, _ := polled(t, 10*time.Second, open("", -1), fenced, beating)
	wantPolls(t, polls, "0s ndjson", "4s json wait=0", "4s ndjson")
}

func TestAStreamThatEndsIsAskedForAgain(t *testing.T) {
	polls, states := polled(t, 45*time.Second, open("\n", 10*time.Second)) // between two polls
	wantPolls(t, polls, "0s ndjson", "10s ndjson", "20s ndjson", "30s ndjson", "40s ndjson")
	if !slices.Equal(states, []reversehttp.State{reversehttp.Online}) {
		t.Errorf("states = %v, want no trouble", states)
	}
	// After a message the next poll is sent at once; without one that would be a tight loop.
	polls, _ = polled(t, 100*time.Second, open("\n", 0))
	if n := len(polls); n < 4 || n > 60 {
		t.Errorf("%d polls in 100 s, want that they wait longer and longer", n)
	}
	n := 0
	polls, _ = polled(t, 100*time.Second, func(w http.ResponseWriter, r *http.Request) {
		n++
		open(news(n)+"\n", 900*time.Millisecond)(w, r)
	})
	if n := len(polls); n < 105 || n > 115 {
		t.Errorf("%d polls in 100 s, want one every 0.9 s", n)
	}
}

func TestAStreamThatIsAlwaysCutIsAskedForSlowly(t *testing.T) {
	polls, _ := polled(t, 100*time.Second, func(w http.ResponseWriter, r *http.Request) {
		open("\n{", 0)(w, r)
		panic(http.ErrAbortHandler)
	})
	if n := len(polls); n < 4 || n > 60 {
		t.Errorf("%d polls in 100 s, want that they wait longer and longer", n)
	}
}

func TestAStreamOfSomethingElseIsAFailedPoll(t *testing.T) {
	_, states := polled(t, time.Second, open("\n<p>not JSON</p>\n", -1), beating)
	if want := []reversehttp.State{reversehttp.Online, reversehttp.Reconnecting, reversehttp.Online}; !slices.Equal(states, want) {
		t.Errorf("states = %v, want %v", states, want)
	}
}

// news is a new message of a stream.
func news(n int) string {
	return fmt.Sprintf(`{"cursor":"c%d","type":"request","id":"x%[1]d","attempt":1,"timeoutMs":60000,"method":"GET","target":"/",`+
		`"url":"http://demo.localhost:8080/","base":"http://demo.localhost:8080/","headers":[],"responseUrl":"%s/response"}`, n, testOrigin)
}

// A cache or a proxy that replays an answer must not cause a loop, and neither must a gateway with new
// cursors but no messages.
func TestPollsThatBringNoNewsBackOff(t *testing.T) {
	batch := func(cursor, messages string) func(http.ResponseWriter, *http.Request) {
		return func(w http.ResponseWriter, r *http.Request) {
			give(w, 200, json.RawMessage(fmt.Sprintf(`{"cursor":%q,"messages":[%s]}`, cursor, messages)))
		}
	}
	cancel := `{"cursor":"c1","type":"cancel","id":"x1","reason":"visitor_gone"}`
	for name, answer := range map[string]func(n int) func(http.ResponseWriter, *http.Request){
		"the same batch":               func(int) func(http.ResponseWriter, *http.Request) { return batch("c1", news(1)) },
		"the same, with a new cursor":  func(n int) func(http.ResponseWriter, *http.Request) { return batch(fmt.Sprint("c", n), news(1)) },
		"the same cancellation":        func(int) func(http.ResponseWriter, *http.Request) { return batch("c1", cancel) },
		"a new cursor and no messages": func(n int) func(http.ResponseWriter, *http.Request) { return batch(fmt.Sprint("c", n), "") },
		"the same stream":              func(int) func(http.ResponseWriter, *http.Request) { return open(news(1)+"\n", 0) },
	} {
		t.Run(name, func(t *testing.T) {
			n := 0
			polls, states := polled(t, time.Hour, func(w http.ResponseWriter, r *http.Request) {
				if n++; n > 5000 {
					beating(w, r)
					return
				}
				answer(n)(w, r)
			})
			// Half of 30 s on average, with jitter, once the wait has grown.
			if n := len(polls); n < 100 || n > 600 {
				t.Errorf("%d polls in an hour, want that they wait longer and longer, and go on", n)
			}
			if !slices.Equal(states, []reversehttp.State{reversehttp.Online}) {
				t.Errorf("states = %v, want that it stays online: the gateway answers", states)
			}
		})
	}
}

// The exchange of a cancellation may have ended already, if its handler noticed by itself.
func TestNewCancellationsAreNews(t *testing.T) {
	const most = 2000
	n := 0
	polls, _ := polled(t, time.Minute, func(w http.ResponseWriter, r *http.Request) {
		if n++; n > most {
			beating(w, r)
			return
		}
		message := fmt.Sprintf(`{"cursor":"c%d","type":"cancel","id":"x%[1]d","reason":"visitor_gone"}`, n)
		give(w, 200, json.RawMessage(fmt.Sprintf(`{"cursor":"c%d","messages":[%s]}`, n, message)))
	})
	if n := len(polls); n <= most {
		t.Errorf("%d polls in a minute, want no pause between %d", n, most)
	}
}
