package reversehttp_test

import (
	"bytes"
	"context"
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

// overheard counts a program's claims, and its ways of polling.
type overheard struct {
	http.RoundTripper
	mu     sync.Mutex // guards the fields below
	claims int
	ways   map[string]int
}

func (o *overheard) RoundTrip(r *http.Request) (*http.Response, error) {
	o.mu.Lock()
	switch _, last, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/claims/demo"), "/sessions/"); {
	case r.URL.Path == "/claims":
		o.claims++
	case strings.HasSuffix(last, "/requests"):
		o.ways[vectors.FormOf(r.Header.Get("Accept"))]++
	case strings.HasSuffix(last, "/link"):
		o.ways["link"]++
	}
	o.mu.Unlock()
	return o.RoundTripper.RoundTrip(r)
}

// standings notes the states of a session.
type standings struct {
	mu  sync.Mutex // guards all
	all []reversehttp.State
}

func (s *standings) note(state reversehttp.State) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, state)
}

func (s *standings) get() []reversehttp.State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.all)
}

// An answer of 1 MiB takes a minute, and the session lasts as if it took no time.
func TestALineThatIsSlowCostsNothing(t *testing.T) {
	for name, reads := range map[string]int{"visitors who read at once": 1 << 30, "visitors who are slow too": 4_000} {
		t.Run(name, func(t *testing.T) {
			test := func(t *testing.T, l *wan, program, visitors *http.Client) {
				sendsMuchSlowly(t, l, program, visitors, reads)
			}
			t.Run("HTTP/1.1", func(t *testing.T) { overWan(t, 20_000, 1<<20, test) })
			// Everything in flight is ahead of a poll.
			t.Run("HTTP/2", func(t *testing.T) { overWanByHTTP2(t, 50_000, test) })
		})
	}
}

func sendsMuchSlowly(t *testing.T, l *wan, program, visitors *http.Client, reads int) {
	content, _ := io.ReadAll(io.LimitReader(pattern(), 1<<20))
	heard := &overheard{RoundTripper: program.Transport, ways: map[string]int{}}
	program.Transport = heard
	var states standings
	s, served := begin(t, program, reversehttp.Options{OnState: states.note}, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/less" {
			w.Write(content[:100_000])
			return
		}
		w.Write(content)
	})
	var all sync.WaitGroup
	for _, want := range []struct {
		path string
		size int
	}{{"", 1 << 20}, {"less", 100_000}, {"", 1 << 20}, {"less", 100_000}} {
		all.Go(func() {
			resp, err := visitors.Get(s.URL() + want.path)
			if err != nil {
				t.Error(err)
				return
			}
			defer resp.Body.Close()
			var got bytes.Buffer
			for err == nil {
				var n int64
				n, err = io.CopyN(&got, resp.Body, 4<<10)
				time.Sleep(time.Duration(n) * time.Second / time.Duration(reads))
			}
			if resp.StatusCode != 200 || err != io.EOF || !bytes.Equal(got.Bytes(), content[:want.size]) {
				t.Errorf("visitor got %d, %d bytes and %v, want 200 and %d bytes", resp.StatusCode, got.Len(), err, want.size)
			}
		})
	}
	all.Wait()
	if got := states.get(); !slices.Equal(got, []reversehttp.State{reversehttp.Online}) {
		t.Errorf("states = %v, want no trouble", got)
	}
	heard.mu.Lock()
	if heard.claims != 1 || len(heard.ways) != 1 {
		t.Errorf("%d claims, asked for requests by %v; want one, and one way", heard.claims, heard.ways)
	}
	heard.mu.Unlock()
	// Base64 adds a third, and a probe has 1 MiB.
	if sent, most := l.up.Load(), int64((2<<20+200_000)*4/3+1<<20+128<<10); sent > most {
		t.Errorf("%d bytes were sent, want %d at most: nothing twice", sent, most)
	}
	s.Shutdown(context.Background())
	served()
}

// A line that stalls is not dead.
func TestAnAnswerOutlastsAStall(t *testing.T) {
	overWanByHTTP2(t, 1_000_000, func(t *testing.T, l *wan, program, visitors *http.Client) {
		var states standings
		s, served := begin(t, program, reversehttp.Options{OnState: states.note}, func(w http.ResponseWriter, r *http.Request) {
			w.Write(large)
			l.stall(28 * time.Second)
			w.Write(large)
		})
		want := "200 " + string(large) + string(large)
		if got := <-visitURL(visitors, "GET", s.URL()).answer; got != want {
			t.Errorf("visitor got %d bytes, %.40q and so on, want %d", len(got), got, len(want))
		}
		if got := states.get(); !slices.Equal(got, []reversehttp.State{reversehttp.Online}) {
			t.Errorf("states = %v, want no trouble", got)
		}
		s.Shutdown(context.Background())
		served()
	})
}

// dribble answers a poll with one byte every 5 s, up to n bytes, and then falls silent.
func dribble(content string, n int) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		for _, b := range []byte(content)[:n] {
			w.Write([]byte{b})
			w.(http.Flusher).Flush()
			time.Sleep(5 * time.Second)
		}
		if n < len(content) {
			<-r.Context().Done()
		}
	}
}

func TestABatchMayComeSlowly(t *testing.T) {
	const batch = `{"cursor":"c1","messages":[]}`
	// The first poll asks for a stream and gets a batch; the second, after a stream was held back, asks for a
	// batch.
	kept := func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	empty := func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(204) }
	polls, states := polled(t, 400*time.Second, dribble(batch, len(batch)), kept, empty, dribble(batch, len(batch)), parked)
	wantPolls(t, polls[:5], "0s ndjson", "2m25s ndjson", "2m35s json wait=0", "2m35s json wait=25", "5m0s json wait=25")
	if !slices.Equal(states, []reversehttp.State{reversehttp.Online}) {
		t.Errorf("states = %v, want no trouble", states)
	}
	polls, states = polled(t, 100*time.Second, kept, empty, dribble(batch, 3), parked)
	wantPolls(t, polls[:4], "0s ndjson", "4s json wait=0", "4s json wait=25", "24s json wait=0")
	if want := []reversehttp.State{reversehttp.Online, reversehttp.Reconnecting, reversehttp.Online}; !slices.Equal(states, want) {
		t.Errorf("states after a silence = %v, want %v", states, want)
	}
}

// After one stream came through, the next one has more time.
func TestAStreamThatIsLateIsNotKeptBack(t *testing.T) {
	after := func(d time.Duration) func(http.ResponseWriter, *http.Request) {
		return func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(d)
			open("\n", 20*time.Second)(w, r)
		}
	}
	polls, states := polled(t, 80*time.Second, open("\n", 20*time.Second), after(9*time.Second), after(11*time.Second), parked)
	wantPolls(t, polls[:4], "0s ndjson", "20s ndjson", "49s ndjson", "59s json wait=0")
	if !slices.Equal(states, []reversehttp.State{reversehttp.Online}) {
		t.Errorf("states = %v, want no trouble", states)
	}
}

// slowly is a gateway that reads POSTs as slowly as possible.
type slowly struct {
	http.Handler
	mu    sync.Mutex // guards posts
	posts []int      // how much of each was read
}

func (g *slowly) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/responses" {
		g.Handler.ServeHTTP(w, r)
		return
	}
	var all bytes.Buffer
	for n, err := int64(1), error(nil); err == nil; _, err = io.CopyN(&all, r.Body, n) {
		n = 10 << 10
		time.Sleep(20 * time.Second)
	}
	g.mu.Lock()
	g.posts = append(g.posts, all.Len())
	g.mu.Unlock()
	r.Body = io.NopCloser(&all)
	g.Handler.ServeHTTP(w, r)
}

// request is a batch with one request.
var request = []byte(`{"cursor":"c1","messages":[{"type":"request","id":"x1","method":"GET","target":"/","url":"http://demo.localhost:8080/",
	"base":"http://demo.localhost:8080/","httpVersion":"1.1","remoteAddr":"203.0.113.9","headers":[],"attempt":1,"timeoutMs":600000,
	"responseUrl":"http://gateway.test/response"}]}`)

func TestAnAnswerThatGoesSlowlyGoesOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &slowly{Handler: &scripted{origin: testOrigin, script: vectors.Scripted{Requests: []vectors.Reply{{Status: 200, JSON: request}}}}}
		s, served := begin(t, listen(t, g), reversehttp.Options{Transport: reversehttp.TransportPoll}, func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, strings.Repeat("x", 100_000))
		})
		time.Sleep(10 * time.Minute)
		g.mu.Lock()
		if len(g.posts) != 1 || g.posts[0] < 100_000 {
			t.Errorf("posts of %d bytes, want one of 100,000 and some", g.posts)
		}
		g.mu.Unlock()
		s.Close()
		served()
		time.Sleep(time.Second)
	})
}

// If a gateway falls silent, an answer does not wait for as long as a slow one may take.
func TestAnAnswerThatWentIntoASilenceGoesAgainAfterIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		var mu sync.Mutex // guards polls and posts
		var polls int
		var posts []string
		answers := &scripted{origin: testOrigin, script: vectors.Scripted{Requests: []vectors.Reply{{Status: 200, JSON: request}, {Status: 204}}}}
		client := listen(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			silent := false
			switch r.URL.Path {
			case "/requests":
				polls++
				silent = polls == 2
			case "/responses":
				silent = len(posts) == 0
				posts = append(posts, time.Since(begun).Round(time.Second).String())
			}
			mu.Unlock()
			if silent {
				io.Copy(io.Discard, r.Body)
				<-r.Context().Done()
				return
			}
			answers.ServeHTTP(w, r)
		}))
		s, served := begin(t, client, reversehttp.Options{Transport: reversehttp.TransportPoll}, func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, strings.Repeat("x", 100_000))
		})
		time.Sleep(10 * time.Minute)
		mu.Lock()
		if want := []string{"0s", "35s"}; !slices.Equal(posts, want) {
			t.Errorf("posts after %q, want %q", posts, want)
		}
		mu.Unlock()
		s.Close()
		served()
		time.Sleep(time.Second)
	})
}

func TestADeadLineIsNoticed(t *testing.T) {
	overWan(t, 1_000_000, 1<<20, func(t *testing.T, l *wan, program, visitors *http.Client) {
		var states standings
		s, served := begin(t, program, reversehttp.Options{OnState: states.note}, func(w http.ResponseWriter, r *http.Request) {
			w.Write(large)
		})
		for range 3 {
			check(t, visitURL(visitors, "GET", s.URL()), "200 "+string(large))
		}
		l.kill()
		time.Sleep(40 * time.Second)
		if got := states.get(); !slices.Contains(got, reversehttp.Reconnecting) {
			t.Errorf("states = %v after 40 s, want that it tries to reconnect", got)
		}
		time.Sleep(time.Minute)
		if got := states.get(); got[len(got)-1] != reversehttp.Online {
			t.Errorf("states = %v after 100 s, want that it is back", got)
		}
		check(t, visitURL(visitors, "GET", s.URL()), "200 "+string(large))
		s.Shutdown(context.Background())
		served()
	})
}

// Messages of a link may be in flight for a minute, and must not count as received.
func TestAnAnswerThatLiesBehindOthersIsKept(t *testing.T) {
	inWan(t, 20_000, 1<<20, func(t *testing.T, l *wan, program, visitors *http.Client) {
		s, served := begin(t, program, reversehttp.Options{Timeout: 5 * time.Minute, Transport: reversehttp.TransportLink}, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/small" {
				io.WriteString(w, "small")
				return
			}
			w.Write(large)
		})
		var others []*visitor
		for range 6 {
			others = append(others, visitURL(visitors, "GET", s.URL()+"large"))
		}
		time.Sleep(5 * time.Second)
		small := visitURL(visitors, "GET", s.URL()+"small")
		time.Sleep(40 * time.Second)
		if len(small.answer) > 0 {
			t.Error("the answer lay behind nothing")
		}
		l.kill()
		check(t, small, "200 small")
		for _, v := range others {
			v.leave()
		}
		s.Shutdown(context.Background())
		served()
	})
}
