package gateway

import (
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"reversehttp/schema"
	"reversehttp/server/admin"
	"reversehttp/server/admission"
	"reversehttp/server/claim"
	"reversehttp/server/cluster/engine"
	"reversehttp/server/store"
)

// operate sends a request of the operator.
func (w *world) operate(method, target, content string) *reply {
	w.t.Helper()
	r := httptest.NewRequest(method, "http://localhost"+target, strings.NewReader(content))
	r.RemoteAddr = "127.0.0.1:9"
	got := httptest.NewRecorder()
	admin.NewPort(w.gateway.Admin, admin.Options{}).ServeHTTP(got, r)
	return newReply(got.Result(), nil)
}

// takenDown is the answer to a takedown.
type takenDown struct {
	Kept      bool
	TakenDown []admin.TakenDown
}

// takeDown takes down a label, or everything of an address.
func (w *world) takeDown(what, value string) takenDown {
	w.t.Helper()
	got := w.operate("POST", "/takedowns", `{"`+what+`":"`+value+`","reason":"phishing"}`)
	if got.Status != 200 {
		w.t.Fatalf("takedown of %s = %d %s", value, got.Status, got.Content)
	}
	return into[takenDown](w.t, got)
}

func TestATakedownEndsWhatIsOpenAtOnce(t *testing.T) {
	inWorld(t, Options{Times: claim.Times{Lease: time.Hour}}, func(w *world) {
		p, other := w.claim("demo"), w.claim("other")
		socket, _, _, in := p.upgraded(schema.Response{})
		streamed := w.visit(get(host, "/streams"))
		r := p.next()
		p.respond(schema.Response{ID: r.ID, Status: 200, Body: new("some"), More: true})
		held := w.visit(get(host, "/held"))
		p.next()
		parked := w.begin(w.request("GET", p.Requests, p.Token, nil))
		synctest.Wait()
		queued := w.visit(get("other.localhost:8080", "/"))
		synctest.Wait()

		began := time.Now()
		w.takeDown("label", "demo")
		if n := w.gateway.registry.Stats().Exchanges; n != 1 {
			t.Errorf("%d exchanges are open, want that of the other claim", n)
		}
		if got := held.await(); got.Status != 451 || got.code() != schema.CodeTakenDown || got.Header.Get("Link") != `<http://localhost:8080/>; rel="blocked-by"` {
			t.Errorf("a visitor whose request a handler has gets %d %s %v, want 451", got.Status, got.Content, got.Header)
		}
		if <-streamed.done; streamed.got.Err == nil {
			t.Errorf("a streamed answer ended cleanly: %s", streamed.got.Content)
		}
		if <-parked.done; parked.got.Status != 451 || parked.got.code() != schema.CodeTakenDown {
			t.Errorf("the poll = %d %s, want 451", parked.got.Status, parked.got.Content)
		}
		if took := time.Since(began); took >= time.Second {
			t.Errorf("all of that took %v, want less than a second", took)
		}
		if rest, err := io.ReadAll(socket.in); err != nil && err != io.ErrUnexpectedEOF || len(rest) > 0 {
			t.Errorf("the WebSocket has %q %v, want its end", rest, err)
		}
		_, _ = io.ReadAll(in.Body)

		for _, raw := range []string{get(host, "/"), get(host, "/x", "Accept: text/html"), requestTo("POST", host, "/", "Content-Length: 2") + "ab", get(host, "/chat", upgradeFields...)} {
			if got := w.ask(raw); got.Status != 451 || got.handed() != "?0" || got.Header.Get("Link") == "" {
				t.Errorf("%q = %d %v, want 451", raw, got.Status, got.Header)
			}
		}
		for _, token := range []string{"t0", "t1", ""} {
			if got := w.send("POST", "/claims", "", schema.ClaimRequest{Label: new("demo"), Token: &token}); token != "" && got.code() != schema.CodeTakenDown {
				t.Errorf("claiming it with %q = %d %s, want 451", token, got.Status, got.Content)
			}
		}
		other.respond(schema.Response{ID: other.next().ID, Status: 204})
		if got := queued.await(); got.Status != 204 {
			t.Errorf("another claim's visitor gets %d, want 204", got.Status)
		}

		if got := w.operate("GET", "/takedowns", ""); !strings.Contains(string(got.Content), `"label":"demo"`) || !strings.Contains(string(got.Content), "phishing") {
			t.Errorf("withdrawn: %s", got.Content)
		}
		if got := w.operate("DELETE", "/takedowns/demo", ""); got.Status != 204 {
			t.Errorf("restoring = %d %s", got.Status, got.Content)
		}
		if got := w.operate("DELETE", "/takedowns/demo", ""); got.Status != 404 {
			t.Errorf("restoring again = %d, want 404", got.Status)
		}
		if got := w.send("POST", "/claims", "", schema.ClaimRequest{Label: new("demo"), Token: new("t1")}); got.Status != 201 {
			t.Errorf("claiming a label that was restored = %d %s, want 201", got.Status, got.Content)
		}
	})
}

func TestATakedownReportsWhatIsKnown(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		made := time.Now().UTC().Format(time.RFC3339)
		p := w.claim("demo").inspected()
		p.served(requestTo("POST", host, "/login", "Content-Length: 5")+"pass!", schema.Response{Status: 200, Body: new("thanks")})
		open := w.visit(get(host, "/open"))
		p.next()
		got := w.takeDown("label", "demo")
		open.await()
		if !got.Kept || len(got.TakenDown) != 1 {
			t.Fatalf("the answer is %+v", got)
		}
		one := got.TakenDown[0]
		if !one.Claimed || one.URL != "http://demo.localhost:8080/" || one.Made != made || one.Address != visitorIP || len(one.Addresses) != 1 || one.Sessions != 1 || one.Counters.Done != 1 || one.Counters.Failed != 1 {
			t.Errorf("known: %+v, %+v", one, one.Counters)
		}
		if len(one.Recordings) != 2 || one.Recordings[0].Request.Body != "pass!" || one.Recordings[1].Exchange.State != "ended" {
			t.Errorf("recordings: %+v", one.Recordings)
		}
		if n := w.gateway.recorder.Bytes(); n != 0 {
			t.Errorf("%d bytes of recordings are kept after that", n)
		}
		if got := w.takeDown("label", "nobodys"); got.TakenDown[0].Claimed || w.ask(get("nobodys.localhost:8080", "/")).Status != 451 {
			t.Errorf("a label that nobody claims: %+v", got)
		}
	})
}

func TestAnAddressIsTakenDownWithAllItsClaims(t *testing.T) {
	inWorld(t, Options{Loopback: true, PublicURL: "http://{label}.gateway.example/", TrustedProxies: []netip.Prefix{netip.MustParsePrefix(visitorIP + "/32")}}, func(w *world) {
		claim := func(label, from string) {
			if got := w.send("POST", "/claims", "", schema.ClaimRequest{Label: &label, Token: new(longToken)}, schema.Field{"X-Forwarded-For", from}); got.Status/100 != 2 {
				t.Fatalf("claim = %d %s", got.Status, got.Content)
			}
		}
		claim("a", "2001:db8::1")
		claim("b", "2001:db8::2") // of the same subscriber
		claim("c", "192.0.2.1")
		claim("d", "192.0.2.2")
		claim("d", "2001:db8::3") // also served from there
		got := w.takeDown("address", "2001:db8::ffff")
		labels := ""
		for _, one := range got.TakenDown {
			labels += one.Label
		}
		if labels != "abd" {
			t.Errorf("taken down: %s, want a, b and d", labels)
		}
		if w.gateway.registry.Lookup("c") == nil {
			t.Error("the claim of another address ended")
		}
		if got := w.takeDown("address", "192.0.2.0/24"); len(got.TakenDown) != 1 || got.TakenDown[0].Label != "c" {
			t.Errorf("taken down by a prefix: %+v", got)
		}
	})
}

func TestBadTakedownsTakeNothingDown(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		w.claim("demo")
		for _, content := range []string{`{}`, `{"label":"demo","address":"192.0.2.1"}`, `{"label":"Demo"}`, `{"address":"demo"}`, `{"label":"demo","extra":1}`, `[]`, `{"label":"demo","reason":"` + strings.Repeat("x", 1025) + `"}`, `{"label":"demo"`, strings.Repeat(" ", 17<<10) + `{"label":"demo"}`} {
			if got := w.operate("POST", "/takedowns", content); got.Status != 400 {
				t.Errorf("%.60s = %d, want 400", content, got.Status)
			}
		}
		if w.gateway.registry.Lookup("demo") == nil {
			t.Error("the claim ended")
		}
	})
}

func TestATakedownOutlivesARestart(t *testing.T) {
	dir := t.TempDir()
	restarted := func(test func(w *world)) {
		s, err := store.Open(dir, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		kept, err := s.Records()
		if err != nil {
			t.Fatal(err)
		}
		g, err := New(Options{Records: s, Withdrawn: s, Kept: kept, SharedTokens: shortTokens})
		if err != nil {
			t.Fatal(err)
		}
		defer g.Close()
		test(&world{t: t, gateway: g})
	}
	restarted(func(w *world) {
		for _, label := range []string{"demo", "left"} {
			if _, err := w.gateway.registry.Open(mustAddrPort(visitorAddr).Addr(), label, "t0", claim.Settings{}); err != nil {
				t.Fatal(err)
			}
		}
		w.takeDown("label", "demo")
		// The process ends before the record of the claim is deleted.
		value, _ := json.Marshal(admission.Withdrawal{Label: "left"})
		if err := w.gateway.options.Withdrawn.Withdraw("left", value); err != nil {
			t.Fatal(err)
		}
	})
	for range 2 {
		restarted(func(w *world) {
			for _, label := range []string{"demo", "left"} {
				got := httptest.NewRecorder()
				w.gateway.ServeHTTP(got, httptest.NewRequest("GET", "http://"+label+".localhost:8080/", nil))
				if got.Code != http.StatusUnavailableForLegalReasons || w.gateway.registry.Lookup(label) != nil {
					t.Errorf("%s after a restart = %d, want 451 and no claim", label, got.Code)
				}
			}
		})
	}
	restarted(func(w *world) {
		for _, label := range []string{"demo", "left"} {
			if got := w.operate("DELETE", "/takedowns/"+label, ""); got.Status != 204 {
				t.Errorf("restoring %s = %d", label, got.Status)
			}
			if _, err := w.gateway.registry.Open(mustAddrPort(visitorAddr).Addr(), label, "t1", claim.Settings{}); err != nil {
				t.Errorf("claiming %s that was restored: %v", label, err)
			}
		}
	})
}

// brokenRecords store nothing.
type brokenRecords struct{}

func (brokenRecords) Withdrawn() (map[string][]byte, error) { return nil, nil }
func (brokenRecords) Withdraw(string, []byte) error         { return io.ErrShortWrite }
func (brokenRecords) Restore(string) error                  { return io.ErrShortWrite }

func TestATakedownHoldsWithoutADisk(t *testing.T) {
	inWorld(t, Options{Withdrawn: brokenRecords{}}, func(w *world) {
		w.claim("demo")
		if got := w.takeDown("label", "demo"); got.Kept || w.ask(get(host, "/")).Status != 451 {
			t.Errorf("taken down: %+v, want that it is in force, and not kept", got)
		}
		if got := w.operate("DELETE", "/takedowns/demo", ""); got.code() != schema.CodeUnavailable || w.ask(get(host, "/")).Status != 451 {
			t.Errorf("restoring = %d %s, want unavailable", got.Status, got.Content)
		}
	})
}

func TestATakedownOnAnotherNodeEndsTheClaim(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := engine.NewMemory()
		connect := func(name string) engine.Engine {
			e, err := nodes.Connect(t.Context(), engine.Options{Node: name})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(e.Close)
			return e
		}
		here, there := connect("here"), connect("there")
		g, err := New(Options{Records: here, Withdrawn: here, SharedTokens: shortTokens})
		if err != nil {
			t.Fatal(err)
		}
		defer g.Close()
		open := func() error {
			_, err := g.registry.Open(mustAddrPort(visitorAddr).Addr(), "demo", "t0", claim.Settings{})
			return err
		}
		if err := open(); err != nil {
			t.Fatal(err)
		}
		if err := there.Withdraw("demo", []byte(`{"label":"demo"}`)); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if _, _, err := there.Look(t.Context(), "demo"); g.registry.Lookup("demo") != nil || !errors.Is(err, claim.ErrNoRecord) {
			t.Errorf("after the takedown: claim %v, record %v; want neither", g.registry.Lookup("demo"), err)
		}
		if err := open(); !errors.Is(err, claim.ErrTakenDown) {
			t.Errorf("claiming it: %v, want that it was taken down", err)
		}
		if err := there.Restore("demo"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if err := open(); err != nil {
			t.Errorf("claiming it again: %v", err)
		}
	})
}
