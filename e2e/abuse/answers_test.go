package abuse

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"reversehttp/schema/envelope"
)

// answerBytes is the largest POST of answers, by the gateway's default.
const answerBytes = 16 << 20

// announced is how many answers are announced at once.
const announced = 16

// announcement is how answers are announced: the form, and the beginning of the content.
type announcement struct{ media, begins string }

var (
	inJSON = announcement{"application/json", `{"messages":[` + strings.Repeat(" ", 3000)}
	framed = announcement{envelope.MediaFramed, `{"type":"response","id":"none","status":200,"contentLength":262144}` + "\n" + strings.Repeat("x", 3000)}
)

// announceAnswers announces answers of the largest size, sends a little of each, and stays connected. When
// the gateway ends one it announces another.
func announceAnswers(as announcement) func(*testing.T, *world) {
	return func(t *testing.T, w *world) { announceAll(t, w, as) }
}

func announceAll(t *testing.T, w *world, as announcement) {
	o := w.own(owning(0), "announcer", 60_000)
	honest := w.own(programs, "honest-posts", 60_000)
	ctx, cancel := context.WithCancel(t.Context())
	var attackers sync.WaitGroup
	defer attackers.Wait()
	defer cancel()
	var ends tally
	under := make(chan struct{}, announced)
	for i := range announced {
		attackers.Go(func() {
			first := sync.OnceFunc(func() { under <- struct{}{} })
			for ctx.Err() == nil {
				end := o.announce(ctx, t, attacker(i), as, first)
				first()
				if ctx.Err() == nil {
					ends.add(end)
				}
				select { // so that refusals do not become a flood
				case <-time.After(rest):
				case <-ctx.Done():
				}
			}
		})
	}
	settle(announced, func() int { return len(under) })
	// A program that polls once sees it at once; sdk-go would poll again.
	var results tally
	for range 50 {
		results.add(honest.post(t.Context(), []byte(`{"type":"abort","id":"none"}`)))
	}
	if got := results.count("202 unknown"); got != 50 {
		t.Errorf("POSTs of an honest program = %s; want 50 × 202 unknown", &results)
	}
	w.goOn("answers are announced", 50)
	t.Logf("announcements that the gateway ended: %s", &ends)
}

// announce announces an answer, calls asked when the gateway asks for it, sends 3 KB, and waits for the end.
// It returns how the answer ended.
func (o *owner) announce(ctx context.Context, t *testing.T, from source, as announcement, asked func()) string {
	c, err := from.dialer().DialContext(ctx, "tcp", o.gateway.address)
	if err != nil {
		return endOfError(err)
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { _ = c.Close() })()
	_, err = fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nContent-Type: %s\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n",
		path(o.Responses), domain, o.Token, as.media, answerBytes)
	if err != nil {
		return endOfError(err)
	}
	r := bufio.NewReader(c)
	resp, err := http.ReadResponse(r, nil)
	if err == nil && resp.StatusCode == http.StatusContinue {
		if _, err := io.WriteString(c, as.begins); err != nil {
			return endOfError(err)
		}
		asked()
		resp, err = http.ReadResponse(r, nil)
	}
	return endOfResponse(resp, err)
}

// hostile is content that is as large as allowed and means little: additional members of an answer.
type hostile struct {
	members func() string
	// good means that the members do not harm the answer, since unknown ones are ignored.
	good bool
}

var (
	manyFields = hostile{members: func() string {
		return `"headers":[` + strings.Repeat(`["",""],`, answerBytes/8-20) + `["",""]]`
	}}
	deepMembers = hostile{good: true, members: func() string {
		const depth = 9_990
		var b strings.Builder
		for i := 0; b.Len() < answerBytes-3*depth; i++ {
			if i > 0 {
				b.WriteByte(',')
			}
			fmt.Fprintf(&b, `"m%d":%s%s`, i, strings.Repeat("[", depth), strings.Repeat("]", depth))
		}
		return b.String()
	}}
	manyMembers = hostile{good: true, members: func() string {
		var b strings.Builder
		for i := range 1_000_000 {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString(`"m` + strconv.Itoa(i) + `":0`)
		}
		return b.String()
	}}
)

// refused are the ends of a POST that the gateway may refuse as malformed or too large.
var refused = []string{"400 bad_json", "400 bad_member", "400 bad_answer", "413 content_too_large"}

// postAnswers posts hostile answers to {responses}.
func postAnswers(h hostile) func(t *testing.T, w *world) {
	return func(t *testing.T, w *world) {
		o := w.own(owning(0), "poster", 60_000)
		content := []byte(`{"messages":[{"type":"response","id":"x","status":200,` + h.members() + `}]}`)
		post := func() string { return o.pour(attacker(0), path(o.Responses), content) }
		ends := append(refused[:len(refused):len(refused)], "202 invalid")
		if h.good {
			ends = append(ends, "202 unknown")
		}
		w.postAlone(post, ends)
		w.postTogether(post, ends)
	}
}

// shortPolls shortens how long a response to an event waits for the next one.
var shortPolls = []string{"--wait=1s"}

// postEvents posts hostile responses at the door of 2008: one to an event, and many to no event, whose
// connections are then closed.
func postEvents(h hostile) func(t *testing.T, w *world) {
	return func(t *testing.T, w *world) {
		o := w.own(owning(0), "poster", 60_000)
		post := func(content []byte) string { return o.pour(attacker(0), "/comet/"+o.Label, content) }
		members := h.members()
		response := func(id string) []byte { return []byte(`{"message-id":"` + id + `","status":200,` + members + `}`) }
		visitor := attacker(0).dial(t, w.gateway)
		defer visitor.Close()
		if _, err := fmt.Fprintf(visitor, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", hostOf(o.URL)); err != nil {
			t.Fatal(err)
		}
		id := o.event(t)
		ends := refused
		if h.good {
			ends = append(ends[:len(ends):len(ends)], "200")
		}
		w.postAlone(func() string { return post(response(id)) }, ends)
		content := response("x")
		w.postTogether(func() string { return post(content) }, append(ends[:len(ends):len(ends)], "200"))
	}
}

// event waits for an event at the door of 2008, and returns its id.
func (o *owner) event(t *testing.T) (id string) {
	t.Helper()
	until(t, "an event comes", func() bool {
		resp, err := o.client.Do(o.request(t.Context(), http.MethodPost, "http://"+domain+"/comet/"+o.Label, nil))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var event struct {
			ID string `json:"message-id"`
		}
		if err := json.NewDecoder(resp.Body).Decode(&event); err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("POST /comet/%s = %d, %v; want 200 with an event", o.Label, resp.StatusCode, err)
		}
		id = event.ID
		return id != ""
	})
	return id
}

// postAlone posts once, and checks how that ends.
func (w *world) postAlone(post func() string, ends []string) {
	w.t.Helper()
	if got := post(); !slices.Contains(ends, got) {
		w.t.Errorf("a hostile POST alone = %s, want one of %q", got, ends)
	}
	w.goOn("after a hostile POST", 10)
}

// postsTogether is how many hostile POSTs come at once.
const postsTogether = 15

// postTogether posts many times at once, and checks how that ends. Some may be too much at a time. Honest
// visitors continue meanwhile and afterwards.
func (w *world) postTogether(post func() string, ends []string) {
	w.t.Helper()
	var got tally
	var posting sync.WaitGroup
	for range postsTogether {
		posting.Go(func() { got.add(post()) })
	}
	w.goOn("beside hostile POSTs", 10)
	posting.Wait()
	w.goOn("after hostile POSTs", 10)
	w.t.Logf("%d hostile POSTs at once: %s", postsTogether, &got)
	ends = append(ends[:len(ends):len(ends)], "503 queue_full", "429 quota_exceeded", "408 too_slow") // the last if a slow POST makes room for others
	if other := got.total(ends...); other > 0 {
		w.t.Errorf("%d of %d hostile POSTs at once ended otherwise than %q: %s", other, postsTogether, ends, &got)
	}
}
