package recording

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"reversehttp/server/claim"
)

func request(target string, content string) *claim.Request {
	return &claim.Request{Method: "POST", Target: target, URL: "http://demo.test" + target, HTTPVersion: "1.1", RemoteAddr: "203.0.113.9:1", Fields: []claim.Field{{Name: "X", Value: "\xe9"}}, Content: claim.Whole([]byte(content))}
}

func TestARecordingHasWhatPassed(t *testing.T) {
	w := newRecorded(t, 0)
	s := w.claim("demo")
	id := w.exchange(s, request("/hook", "hello"), &claim.Answer{Status: 201, Fields: []claim.Field{{Name: "Y", Value: "2"}}, Content: []byte{0xff}})
	one, found := w.book(s).One(id)
	if !found {
		t.Fatal("no recording")
	}
	valid(t, "recording", one)
	x := one.Exchange
	if x.Target != "/hook" || x.State != "ended" || x.Outcome != "done" || x.Status != 201 || x.Attempt != 1 || x.Handed == nil || !*x.Handed || x.RequestBytes != 5 || x.ResponseBytes != 1 {
		t.Errorf("%+v", x)
	}
	if one.Request.Body != "hello" || one.Response.BodyBase64 != "/w==" || one.Request.Headers[0][1] != "é" || one.Response.Headers[0] != [2]string{"Y", "2"} {
		t.Errorf("request %+v, response %+v", one.Request, one.Response)
	}
	if len(one.Deliveries) != 1 || one.Deliveries[0].Session != s.ID() {
		t.Errorf("deliveries %+v", one.Deliveries)
	}
	list, _ := w.book(s).List(Filter{})
	valid(t, "recordings", list)
}

func TestContentIsCut(t *testing.T) {
	w := newRecorded(t, 0)
	s := w.claim("demo")
	long := strings.Repeat("x", contentBytes+1)
	id := w.exchange(s, request("/", long), &claim.Answer{Status: 200, Content: []byte(long)})
	one, _ := w.book(s).One(id)
	if x := one.Exchange; !x.RequestCut || !x.ResponseCut || x.RequestBytes != len(long) || x.ResponseBytes != len(long) {
		t.Errorf("%+v", x)
	}
	if len(one.Request.Body) != contentBytes || len(one.Response.Body) != contentBytes {
		t.Errorf("recorded %d and %d bytes, want %d", len(one.Request.Body), len(one.Response.Body), contentBytes)
	}
	if _, _, cut, found := w.book(s).Request(id); !cut || !found {
		t.Errorf("to be replayed: cut %v, found %v; want both", cut, found)
	}
}

func TestABookKeepsTheNewest(t *testing.T) {
	w := newRecorded(t, 0)
	s := w.claim("demo")
	for i := range MostRecordings + 5 {
		w.exchange(s, request(fmt.Sprint("/", i), ""), &claim.Answer{Status: 200})
	}
	list, _ := w.book(s).List(Filter{})
	if n := len(list.Exchanges); n != MostRecordings || list.Exchanges[0].Target != fmt.Sprint("/", MostRecordings+4) || list.Exchanges[n-1].Target != "/5" {
		t.Errorf("%d recordings, %s to %s", n, list.Exchanges[0].Target, list.Exchanges[n-1].Target)
	}
}

func TestABookIsBoundedInBytes(t *testing.T) {
	w := newRecorded(t, 0)
	s := w.claim("demo")
	content := strings.Repeat("x", contentBytes)
	for range bookBytes/(2*contentBytes) + 8 {
		w.exchange(s, request("/", content), &claim.Answer{Status: 200, Content: []byte(content)})
	}
	if n := w.book(s).bytes.Load(); n > bookBytes || n < bookBytes/2 {
		t.Errorf("the book has %d bytes, want %d at most", n, bookBytes)
	}
	if got, want := w.recorder.Bytes(), w.book(s).bytes.Load(); got != want {
		t.Errorf("the recorder counts %d bytes, want %d", got, want)
	}
}

// The claim with the most recordings is cut, not the newest one.
func TestTheLargestBookMakesRoom(t *testing.T) {
	const most = 1 << 20
	w := newRecorded(t, most)
	small, large := w.claim("small"), w.claim("large")
	w.exchange(small, request("/small", "x"), &claim.Answer{Status: 200})
	content := strings.Repeat("x", 100<<10)
	for range 20 {
		w.exchange(large, request("/large", content), &claim.Answer{Status: 200})
	}
	if n := w.recorder.Bytes(); n > most {
		t.Errorf("%d bytes in all, want %d at most", n, most)
	}
	if list, _ := w.book(small).List(Filter{}); len(list.Exchanges) != 1 {
		t.Errorf("the small claim has %d recordings, want 1", len(list.Exchanges))
	}
}

func TestRecordingsEndWithTheirClaim(t *testing.T) {
	w := newRecorded(t, 0)
	s := w.claim("demo")
	w.exchange(s, request("/", "secret"), &claim.Answer{Status: 200})
	book := w.book(s)
	_, news := book.Since("", Filter{})
	if err := s.Claim().Delete(); err != nil {
		t.Fatal(err)
	}
	<-news
	if c, _ := book.Since("", Filter{}); !c.Closed || len(c.Recordings) != 0 {
		t.Errorf("%+v, want a closed book without recordings", c)
	}
	if w.recorder.Bytes() != 0 || len(w.recorder.books) != 0 {
		t.Errorf("%d bytes in %d books are left", w.recorder.Bytes(), len(w.recorder.books))
	}
}

func TestChangesAreThoseSinceTheLastRead(t *testing.T) {
	w := newRecorded(t, 0)
	s := w.claim("demo")
	first := w.exchange(s, request("/a", ""), &claim.Answer{Status: 200})
	c, _ := w.book(s).Since("", Filter{})
	if len(c.Recordings) != 1 || c.Cleared {
		t.Fatalf("%+v, want all", c)
	}
	again, _ := w.book(s).Since(c.Change, Filter{})
	if len(again.Recordings) != 0 || again.Change != c.Change {
		t.Errorf("%+v, want nothing", again)
	}
	second := w.exchange(s, request("/b", ""), &claim.Answer{Status: 200})
	again, _ = w.book(s).Since(c.Change, Filter{})
	if len(again.Recordings) != 1 || again.Recordings[0].ID != second {
		t.Errorf("%+v, want the second", again)
	}
	foreign, _ := w.book(s).Since("another-3", Filter{})
	if !foreign.Cleared || len(foreign.Recordings) != 2 || foreign.Recordings[0].ID != first {
		t.Errorf("%+v, want all anew", foreign)
	}
	w.book(s).Clear()
	again, _ = w.book(s).Since(c.Change, Filter{})
	if !again.Cleared || len(again.Recordings) != 0 {
		t.Errorf("%+v, want that all were deleted", again)
	}
}

// Readers get many changes bit by bit, and miss none.
func TestChangesAreReadInPieces(t *testing.T) {
	w := newRecorded(t, 0)
	s := w.claim("demo")
	const count = 150
	for i := range count {
		w.exchange(s, request(fmt.Sprint("/", i, "?", strings.Repeat("x", 2_000)), ""), &claim.Answer{Status: 200})
	}
	seen, change, rounds := map[string]bool{}, "", 0
	for {
		c, _ := w.book(s).Since(change, Filter{})
		for _, x := range c.Recordings {
			seen[x.ID] = true
		}
		rounds++
		if change = c.Change; !c.More {
			break
		}
	}
	if again, _ := w.book(s).Since(change, Filter{}); len(seen) != count || rounds < 5 || len(again.Recordings) != 0 {
		t.Errorf("%d recordings in %d rounds, then %d; want %d in several, then none", len(seen), rounds, len(again.Recordings), count)
	}
	if c, _ := w.book(s).Since("", Filter{Path: "/147"}); len(c.Recordings) != 1 || c.More {
		t.Errorf("%d pass the filter, want 1", len(c.Recordings))
	}
}

func TestReadersAreBounded(t *testing.T) {
	b := newBook(New(0))
	for range MostReaders {
		if !b.Enter() {
			t.Fatal("refused")
		}
	}
	if b.Enter() {
		t.Error("one more than may be was let in")
	}
	if b.Leave(); !b.Enter() {
		t.Error("refused after one left")
	}
}

func TestAnArchiveHasNoSecrets(t *testing.T) {
	w := newRecorded(t, 0)
	s := w.claim("demo")
	r := request("/hook?api_key=SECRET&x=1", "hello")
	r.Fields = []claim.Field{{Name: "Authorization", Value: "Bearer SECRET"}, {Name: "Cookie", Value: "a=SECRET"}, {Name: "X-Hub-Signature", Value: "SECRET"}}
	w.exchange(s, r, &claim.Answer{Status: 200, Fields: []claim.Field{{Name: "Set-Cookie", Value: "a=SECRET"}}})
	ids, _ := w.book(s).IDs(Filter{})
	one, _ := w.book(s).One(ids[0])
	for _, shown := range []bool{false, true} {
		text := fmt.Sprintf("%+v", Entry(one, shown))
		if got := strings.Contains(text, "SECRET"); got != shown {
			t.Errorf("secrets %v: %s", shown, text)
		}
	}
}

// A long answer causes a bounded number of changes, however many pieces it has.
func TestUnrecordedContentIsReportedNowAndThen(t *testing.T) {
	x := &recording{begun: time.Now()}
	told := 0
	for i := range 10_000 {
		e := claim.Event{Kind: claim.EventReceived, Content: []byte("x"), At: x.begun.Add(time.Duration(i) * time.Millisecond)}
		if x.see(e); x.tells(e) {
			told++
		}
	}
	if most := mostParts + 11; told > most || told <= mostParts {
		t.Errorf("told %d times, want %d at most", told, most)
	}
	if !x.tells(claim.Event{Kind: claim.EventEnded, At: x.begun}) {
		t.Error("the end is not told")
	}
}

// frame returns a masked WebSocket frame.
func frame(opcode byte, payload []byte, mask [4]byte) []byte {
	b := []byte{0x80 | opcode, 0x80 | byte(len(payload))}
	if len(payload) > 125 {
		b = []byte{0x80 | opcode, 0x80 | 126, byte(len(payload) >> 8), byte(len(payload))}
	}
	b = append(b, mask[:]...)
	for i, c := range payload {
		b = append(b, c^mask[i%4])
	}
	return b
}

func TestFramesAreReadHoweverTheyAreCut(t *testing.T) {
	stream := slices.Concat(frame(1, []byte("hello"), [4]byte{1, 2, 3, 4}), frame(2, bytes.Repeat([]byte{0xff}, 300), [4]byte{9}), frame(8, nil, [4]byte{}))
	for _, size := range []int{1, 2, 3, 7, 100, len(stream)} {
		var line timeline
		for rest := stream; len(rest) > 0; {
			n := min(size, len(rest))
			line.add(1, visitor, rest[:n], true)
			rest = rest[n:]
		}
		got := line.recorded()
		if len(got) != 3 || got[0].Opcode != "text" || got[0].Body != "hello" || !got[0].Final || got[1].Opcode != "binary" || got[1].Bytes != 300 || got[1].BodyBase64 == "" || got[2].Opcode != "close" {
			t.Errorf("in pieces of %d: %+v", size, got)
		}
	}
}

func TestPartsAreBounded(t *testing.T) {
	var line timeline
	for range 10 * mostParts {
		line.add(1, handler, []byte("x"), false)
		line.add(1, visitor, frame(1, bytes.Repeat([]byte("y"), 1000), [4]byte{}), true)
	}
	if len(line.parts) != mostParts || !line.cut || line.weight() > contentBytes*2+smallWeight*mostParts {
		t.Errorf("%d parts, cut %v, %d bytes", len(line.parts), line.cut, line.weight())
	}
}

// No input breaks anything.
func FuzzFrames(f *testing.F) {
	f.Add([]byte{0x81, 0x85, 1, 2, 3, 4, 5, 6, 7, 8, 9}, uint8(3))
	f.Add([]byte{0x82, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0}, uint8(1))
	f.Fuzz(func(t *testing.T, b []byte, size uint8) {
		var line timeline
		for rest := b; len(rest) > 0; {
			n := min(int(size)+1, len(rest))
			line.add(0, visitor, rest[:n], true)
			rest = rest[n:]
		}
		for _, p := range line.recorded() {
			if p.Bytes < 0 || len(p.Body) > contentBytes {
				t.Errorf("%+v", p)
			}
		}
	})
}
