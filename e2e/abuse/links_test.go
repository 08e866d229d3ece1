package abuse

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"reversehttp/schema"
	reversehttp "reversehttp/sdk-go"
)

// hideTokens opens links without a token, from one address and from many, as many as the gateway allows, and
// keeps them until the gateway ends them. Then it opens others.
func hideTokens(t *testing.T, w *world) {
	o := w.own(owning(0), "hidden", 60_000)
	var ends, refused tally
	var open sync.WaitGroup
	defer open.Wait()
	var now, most atomic.Int64
	hide := func(from source) bool {
		l, end := o.link(from, false)
		if l == nil {
			refused.add(end)
			return false
		}
		most.Store(max(most.Load(), now.Add(1)))
		open.Go(func() {
			defer now.Add(-1)
			defer l.Close()
			ends.add(l.end(nil))
		})
		return true
	}
	ofOne := 0
	for range sized(3_000, 10_000) {
		if !hide(attacker(0)) {
			break
		}
		ofOne++
	}
	w.goOn("links of one address show no token", 30)
	for i := range sized(2_000, 10_000) {
		hide(attacker(1 + i%200))
	}
	w.goOn("links of many addresses show no token", 50)
	until(t, "links end that show no token", func() bool { return ends.total() > ofOne/2 })
	t.Logf("%d links of one address were let in, %d at most at a time in all; refused: %s; ended so far: %s", ofOne, most.Load(), &refused, &ends)
	open.Wait()
	// One may be evicted between the error and the close, or during the Close frame.
	if other := ends.total("1008 token_needed", "no answer: EOF", "no answer: EOF token_needed", "no answer: unexpected EOF"); other > 0 || ends.count("1008 token_needed") == 0 {
		t.Errorf("links without a token ended with %s, want 1008 token_needed, or evicted", &ends)
	}
	if other := refused.total("503 queue_full", "429 quota_exceeded", "no answer: EOF"); other > 0 {
		t.Errorf("links without a token are refused with %s, want 503 queue_full", &refused)
	}
}

// haltMessages begins messages of the largest size, sends half of each, and waits.
func haltMessages(t *testing.T, w *world) {
	const length = 256 << 10
	half := []byte(strings.Repeat("x", length/2))
	var ends tally
	var open sync.WaitGroup
	defer open.Wait()
	links := sized(200, 900)
	var halted atomic.Int64
	for i := range links {
		o := w.own(owning(i), "halts-"+strconv.Itoa(i), 60_000)
		l, end := o.link(owning(i), true)
		if l == nil {
			ends.add(end)
			continue
		}
		open.Go(func() {
			defer l.Close()
			sent := make(chan struct{})
			go func() {
				defer close(sent)
				_, _ = l.Write(frame(opBinary, length, half)) // it ends with the link
				halted.Add(1)
			}()
			ends.add(l.end(nil))
			_ = l.Close()
			<-sent
		})
	}
	settle(links, func() int { return int(halted.Load()) + ends.total() })
	w.goOn("messages are halted", 50)
	open.Wait()
	t.Logf("%d links sent half a message: %s", links, &ends)
	if other := ends.total("1008 too_slow", "1008 session_fenced", "1013 queue_full", "503 queue_full"); other > 0 || ends.total("503 queue_full") == 0 {
		t.Errorf("links with half a message ended with %s, want 1008 too_slow or session_fenced, or 1013 queue_full", &ends)
	}
}

// floodLinks sends messages on links without reading from them, until the gateway ends each.
func floodLinks(message string) func(t *testing.T, w *world) {
	return func(t *testing.T, w *world) {
		payload := strings.Repeat(message, (256<<10-1)/len(message))
		var sent atomic.Int64
		var open sync.WaitGroup
		defer open.Wait()
		links := sized(20, 100)
		var ended atomic.Int64
		for i := range links {
			o := w.own(owning(i), "floods-"+strconv.Itoa(i), 60_000)
			l := o.mustLink(t, owning(i))
			open.Go(func() {
				defer ended.Add(1)
				for range 10_000 { // 2.5 GiB
					if l.send(opBinary, payload) != nil {
						return
					}
					sent.Add(int64(len(payload)))
				}
				t.Errorf("a link took %d messages and gave up none of its results", 10_000*strings.Count(payload, "\n"))
			})
		}
		w.goOn("messages flood in", 50)
		until(t, "the gateway ends every flood", func() bool { return int(ended.Load()) == links })
		w.goOn("messages flooded in", 10)
		t.Logf("%d links sent %s until they were ended", links, mib(float64(sent.Load())))
	}
}

// floodPings sends Ping frames on links without reading from them.
func floodPings(t *testing.T, w *world) {
	pings := strings.Repeat(string(frame(opPing, 125, []byte(strings.Repeat("p", 125)))), 1000)
	var open sync.WaitGroup
	defer open.Wait()
	links := sized(20, 100)
	var ended atomic.Int64
	for i := range links {
		o := w.own(owning(i), "pings-"+strconv.Itoa(i), 60_000)
		l := o.mustLink(t, owning(i))
		open.Go(func() {
			defer ended.Add(1)
			for {
				if _, err := l.Write([]byte(pings)); err != nil {
					return
				}
			}
		})
	}
	w.goOn("pings flood in", 50)
	until(t, "the gateway ends every flood", func() bool { return int(ended.Load()) == links })
}

// overflow answers visitors who read nothing with more unconfirmed content than allowed, for each exchange
// and in all.
func overflow(t *testing.T, w *world) {
	const each, parts = 20, 10
	piece := strings.Repeat("o", 200<<10)
	links := sized(20, 60)
	var open sync.WaitGroup
	defer open.Wait()
	var conflicts atomic.Int64
	var ends, visits tally
	release := make(chan struct{})
	for i := range links {
		o := w.own(owning(i), "overflows-"+strconv.Itoa(i), 10_000)
		l := o.mustLink(t, owning(i))
		for n := range each {
			c := attacker(i*each+n).stall(t, w.gateway, hostOf(o.URL))
			open.Go(func() {
				defer c.Close()
				<-release
				resp, err := http.ReadResponse(bufio.NewReader(c), nil)
				visits.add(endOfResponse(resp, err))
			})
		}
		open.Go(func() {
			end := l.end(func(message string) {
				for line := range strings.Lines(message) {
					if id := memberOf(line, "id"); memberOf(line, "type") == schema.TypeRequest {
						_ = l.send(opBinary, fmt.Sprintf(`{"type":"response","id":%q,"status":200,"headers":[],"more":true}`+"\n", id))
						for n := range parts {
							_ = l.send(opBinary, fmt.Sprintf(`{"type":"part","id":%q,"seq":%d,"more":true,"contentLength":%d}`+"\n%s\n", id, n+1, len(piece), piece))
						}
					}
					conflicts.Add(int64(strings.Count(line, `"status":"conflict"`)))
					if memberOf(line, "type") == "ping" {
						_ = l.send(opText, `{"type":"pong"}`)
					}
				}
			})
			if t.Context().Err() == nil {
				ends.add(end)
			}
		})
		open.Go(func() {
			<-release
			until(t, "all visitors read on", func() bool { return visits.total() == links*each })
			_ = l.Close()
		})
	}
	settle(links*each*parts, func() int { return int(conflicts.Load()) })
	w.goOn("content overflows", 50)
	t.Logf("%d messages were conflicts; links ended: %s", conflicts.Load(), &ends)
	if other := ends.total("1013 queue_full"); other > 0 {
		t.Errorf("links on which content overflowed ended with %s, want that they go on, or 1013 queue_full where memory is short", &ends)
	}
	close(release)
	open.Wait()
	t.Logf("visitors: %s", &visits)
	if n := visits.count("502 handler_failed") + visits.count("200 and then no answer: unexpected EOF"); conflicts.Load() == 0 || n == 0 || visits.count("200") > 0 {
		t.Errorf("%d conflicts, visitors: %s; want conflicts, and answers that fail or are cut", conflicts.Load(), &visits)
	}
}

// memberOf returns a string member of a message; empty if there is none.
func memberOf(line, name string) string {
	var members map[string]json.RawMessage
	var value string
	if json.Unmarshal([]byte(line), &members) == nil {
		_ = json.Unmarshal(members[name], &value)
	}
	return value
}

// silence is how long a program may be silent, by default.
var silence = []string{"--acknowledge=10s"}

// joinDead opens a link beside an honest program of the same claim. The link takes requests without answering
// them: it reads messages, or not even that. All visitors with repeatable requests are served.
func joinDead(reads bool) func(t *testing.T, w *world) {
	return func(t *testing.T, w *world) {
		s := w.serve("joined", reversehttp.TransportLink, 0)
		label, token := s.Label(), s.Token()
		end, answer := w.gateway.ask(owning(0), schema.ClaimRequest{Label: &label, Token: &token}, nil)
		if end != "200" {
			t.Fatalf("POST /claims with the token = %s, want 200", end)
		}
		dead := &owner{gateway: w.gateway, ClaimAnswer: answer}
		l := dead.mustLink(t, owning(0))
		gone := make(chan string, 1)
		if reads {
			go func() { gone <- l.end(nil) }()
		} else {
			_ = l.Conn.(*net.TCPConn).SetReadBuffer(4 << 10)
		}
		content := []byte(strings.Repeat("c", 50_000))
		var visits tally
		var asking sync.WaitGroup
		const most = 300
		for i := range most {
			asking.Go(func() {
				path := "/" + strconv.Itoa(i)
				r, err := http.NewRequest(http.MethodPut, s.URL()+path[1:], strings.NewReader(string(content)))
				if err != nil {
					panic(err)
				}
				resp, err := attacker(i).client(w.gateway).Do(r)
				if err != nil || resp.StatusCode != http.StatusOK {
					visits.add(endOfResponse(resp, err))
					return
				}
				defer resp.Body.Close()
				got, err := io.ReadAll(resp.Body)
				if err != nil || string(got) != string(rightAnswer(path, content)) {
					visits.add("a wrong answer")
					return
				}
				visits.add("200")
			})
		}
		w.goOn("a link takes nothing", 50)
		asking.Wait()
		w.goOn("a link took nothing", 10)
		until(t, "the session is lost", func() bool { return w.gateway.metrics(t, `reversehttp_sessions_ended_total{reason="lost"}`)[0] == 1 })
		how := "not read"
		if reads {
			how = <-gone
		}
		t.Logf("visits: %s; the link: %s", &visits, how)
		if visits.count("200") != most {
			t.Errorf("visits to a claim of which one program does nothing: %s, want %d × 200", &visits, most)
		}
		if reads && how != "1008 session_fenced" {
			t.Errorf("a link that answers no ping ended with %s, want 1008 session_fenced", how)
		}
	}
}

// replaceLinks opens many links of one session, one after the other, while many sessions have one link each.
func replaceLinks(t *testing.T, w *world) {
	o := w.own(owning(0), "replaces", 60_000)
	links := sized(300, 3_000)
	var ends, refused tally
	var open sync.WaitGroup
	var last *rawLink
	for range links {
		l := o.mustLink(t, owning(0))
		if last != nil {
			before := last
			open.Go(func() { ends.add(before.end(nil)) })
		}
		last = l
	}
	w.goOn("links replace each other", 30)
	open.Wait()
	if n := ends.count("1001"); n != links-1 {
		t.Errorf("links that were replaced ended with %s, want %d × 1001", &ends, links-1)
	}
	sessions := 0
	for range 200 {
		end, answer := w.gateway.ask(owning(0), schema.ClaimRequest{Label: &o.Label, Token: &o.Token}, nil)
		if end != "200" {
			refused.add(end)
			continue
		}
		if l, end := (&owner{gateway: w.gateway, ClaimAnswer: answer}).link(owning(0), true); l == nil {
			refused.add(end)
		} else {
			sessions++
			t.Cleanup(func() { _ = l.Close() })
		}
	}
	w.goOn("a claim has many links", 30)
	t.Logf("%d links of one session; %d of as many sessions of one claim were let in beside, refused: %s", links, sessions, &refused)
	if sessions != 63 || refused.total("429 quota_exceeded") > 0 { // and the one with all the links
		t.Errorf("%d sessions more of one claim have a link, refused: %s; want 63, and 429 quota_exceeded", sessions, &refused)
	}
}
