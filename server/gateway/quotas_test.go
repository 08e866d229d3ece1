package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"reversehttp/schema"
	"reversehttp/server/account"
	"reversehttp/server/claim"
	"reversehttp/server/quota"
	"reversehttp/server/store"
	"reversehttp/server/terms"
	"reversehttp/server/visit"
)

// limited returns limits with one bound.
func limited(t *testing.T, pairs ...string) *quota.Limits {
	t.Helper()
	l, err := quota.Parse(pairs)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// overdrawn checks that a reply reports a quota as used up.
func overdrawn(t *testing.T, what string, got *reply, of, name string) {
	t.Helper()
	p := got.problem()
	after, err := strconv.Atoi(got.Header.Get("Retry-After"))
	if got.Status != 429 || p.Code != schema.CodeQuotaExceeded || p.Quota == nil || *p.Quota != (schema.QuotaName{Of: of, Name: name}) || err != nil || after < 1 {
		t.Errorf("%s = %d %s, Retry-After %q; want 429 and %s of the %s", what, got.Status, got.Content, got.Header.Get("Retry-After"), name, of)
	}
}

func TestClaimsAndSessionsOfAnAccountAreBounded(t *testing.T) {
	key, accounts := ann(t, `,"quotas":{"claims":3,"sessions":5},"labelQuotas":{"sessions":2}`)
	inWorld(t, Options{Accounts: accounts, Limits: claim.Limits{AddressClaims: 1}, Quotas: Quotas{Address: limited(t, "sessions=1")}}, func(w *world) {
		ask := func(label string) *reply {
			return w.claims(key, `{"label":"`+label+`","token":"`+longToken+`"}`)
		}
		for _, label := range []string{"a", "b", "c"} { // more than an address may have
			if got := ask(label); got.Status != 201 {
				t.Fatalf("%s = %d %s", label, got.Status, got.Content)
			}
		}
		overdrawn(t, "a fourth claim", ask("d"), "account", "claims")
		if got := ask("a"); got.Status != 200 {
			t.Fatal(got.Status)
		}
		overdrawn(t, "a third session of a label", ask("a"), "label", "sessions")
		if got := ask("b"); got.Status != 200 {
			t.Fatal(got.Status)
		}
		overdrawn(t, "a sixth session", ask("c"), "account", "sessions")
		overdrawn(t, "a sixth session without the key", w.claims("", `{"label":"c","token":"`+longToken+`"}`), "account", "sessions")

		if got := w.claims("", `{"label":"e","token":"`+longToken+`"}`); got.Status != 201 {
			t.Fatalf("a stranger = %d %s", got.Status, got.Content)
		}
		overdrawn(t, "a second session of a stranger", w.claims("", `{"label":"e","token":"`+longToken+`"}`), "address", "sessions")
		overdrawn(t, "a second claim of a stranger", w.claims("", `{"label":"f"}`), "address", "claims")

		if got := w.send("DELETE", "/claims/a", longToken, nil); got.Status != 204 {
			t.Fatal(got.Status)
		}
		if got := ask("d"); got.Status != 201 {
			t.Errorf("after a claim was given up = %d %s, want 201", got.Status, got.Content)
		}
	})
}

func TestRequestsForALabelAreBounded(t *testing.T) {
	inWorld(t, Options{Times: claim.Times{Lease: time.Hour}, Quotas: Quotas{Label: limited(t, "inFlight=2", "requestsPerMinute=4")}}, func(w *world) {
		p := w.claim("demo")
		other := w.claim("other")
		first, second := w.visit(get(host, "/")), w.visit(get(host, "/"))
		synctest.Wait()
		got := w.visit(get(host, "/")).await()
		overdrawn(t, "a third in flight", got, "label", "inFlight")
		if got.handed() != "?0" {
			t.Errorf("handed = %q, want ?0", got.handed())
		}
		for _, r := range p.poll() {
			p.respond(schema.Response{ID: r.ID, Status: 204})
		}
		first.await()
		second.await()
		for range 2 {
			v := w.visit(get(host, "/"))
			p.respond(schema.Response{ID: p.next().ID, Status: 204})
			v.await()
		}
		overdrawn(t, "a fifth in a minute", w.visit(get(host, "/")).await(), "label", "requestsPerMinute")
		v := w.visit(get("other.localhost:8080", "/"))
		other.respond(schema.Response{ID: other.next().ID, Status: 204})
		if got := v.await(); got.Status != 204 {
			t.Errorf("for another label = %d, want 204", got.Status)
		}
		time.Sleep(time.Minute)
		v = w.visit(get(host, "/"))
		p.respond(schema.Response{ID: p.next().ID, Status: 204})
		if got := v.await(); got.Status != 204 {
			t.Errorf("in the next minute = %d, want 204", got.Status)
		}
	})
}

// Otherwise refused visitors could lock out others.
func TestRefusedVisitorsDoNotUseAQuota(t *testing.T) {
	inWorld(t, Options{Quotas: Quotas{Label: limited(t, "requestsPerMinute=2")}}, func(w *world) {
		p := w.claim("demo")
		w.gateway.visits.Gates.Judge = func(_ *claim.Claim, r *claim.Request, _ []string) (v visit.Verdict) {
			if r.Target != "/in" {
				v.Answer = &claim.Answer{Status: 403}
			}
			return v
		}
		for range 5 {
			if got := w.visit(get(host, "/out")).await(); got.Status != 403 {
				t.Fatalf("refused = %d %s, want 403", got.Status, got.Content)
			}
		}
		for range 2 {
			v := w.visit(get(host, "/in"))
			p.respond(schema.Response{ID: p.next().ID, Status: 204})
			if got := v.await(); got.Status != 204 {
				t.Errorf("a permitted visitor = %d %s, want 204", got.Status, got.Content)
			}
		}
		overdrawn(t, "a third", w.visit(get(host, "/in")).await(), "label", "requestsPerMinute")
	})
}

func TestBytesToVisitorsStopAtTheQuota(t *testing.T) {
	text := strings.Repeat("x", 40_000)
	inBothWorlds(t, Options{Quotas: Quotas{Address: limited(t, "responseBytesPerDay=100000")}}, func(w *world) {
		p := w.claim("demo")
		whole := func() *reply {
			v := w.visit(get(host, "/"))
			p.respond(schema.Response{ID: p.next().ID, Status: 200, Body: &text})
			return v.await()
		}
		if got := whole(); got.Status != 200 || len(got.Content) != len(text) {
			t.Fatalf("a whole answer = %d, %d bytes", got.Status, len(got.Content))
		}
		v, r, head := p.begun(get(host, "/"), schema.Response{Status: 200, Body: &text})
		v.take(head.Body, text)
		p.answer(schema.Part{Type: schema.TypePart, ID: r.ID, Seq: 1, Body: &text, More: true})
		if rest, err := io.ReadAll(head.Body); err == nil || len(rest) > 20_000 {
			t.Errorf("beyond the quota %d bytes came, and %v; want that the answer is cut", len(rest), err)
		}
		if got := p.send("GET", p.Requests, p.Token, nil, schema.Field{"Prefer", "wait=1"}); !bytes.Contains(got.Content, []byte(`{"type":"cancel","id":"`+r.ID+`"`)) {
			t.Errorf("poll = %s, want a poll that says so", got.Content)
		}
		got := whole()
		overdrawn(t, "a whole answer that is too long", got, "address", "responseBytesPerDay")
		if got.handed() != "?1" {
			t.Errorf("handed = %q, want ?1", got.handed())
		}
		if after, _ := strconv.Atoi(got.Header.Get("Retry-After")); after < 20*3600 {
			t.Errorf("Retry-After = %d, want what is left of the day", after)
		}
		_, _, head = p.begun(get(host, "/"), schema.Response{Status: 200, Headers: []schema.Field{{"X-Long", strings.Repeat("y", 30_000)}}})
		if head.StatusCode != 429 {
			t.Errorf("an answer whose head is too long = %d, want 429", head.StatusCode)
		}
		time.Sleep(24 * time.Hour)
	})
}

func TestBytesFromVisitorsStopAtTheQuota(t *testing.T) {
	inWorld(t, Options{InlineBytes: 1000, Quotas: Quotas{Label: limited(t, "requestBytesPerDay=100000")}}, func(w *world) {
		p := w.claim("demo")
		v := p.dial(visitorAddr)
		v.begin(requestTo("POST", host, "/", "Content-Length: 200000"))
		r := p.next()
		in := p.fetch(r)
		v.write(bytes.Repeat([]byte("x"), 50_000))
		if _, err := io.ReadFull(in.Body, make([]byte, 50_000)); err != nil {
			t.Fatal(err)
		}
		go func() { _, _ = v.conn.Write(bytes.Repeat([]byte("x"), 150_000)) }()
		v.receive()
		got := v.await()
		overdrawn(t, "content of 200000 bytes", got, "label", "requestBytesPerDay")
		if rest, err := io.ReadAll(in.Body); err == nil || len(rest) > 60_000 {
			t.Errorf("the handler got %d bytes more, and %v", len(rest), err)
		}
		short := w.visit(requestTo("POST", host, "/", "Content-Length: 5") + "hello")
		overdrawn(t, "short content", short.await(), "label", "requestBytesPerDay")
		overdrawn(t, "no content", w.visit(get(host, "/")).await(), "label", "requestBytesPerDay")
	})
}

func TestFieldsOfAnswersCountToo(t *testing.T) {
	long := strings.Repeat("y", 30_000)
	inWorld(t, Options{Quotas: Quotas{Label: limited(t, "responseBytesPerDay=100000")}}, func(w *world) {
		p := w.claim("demo")
		v := w.visit(get(host, "/"))
		r := p.next()
		for range 5 { // of which three pass
			p.answer(schema.Interim{Type: schema.TypeInterim, ID: r.ID, Status: 103, Headers: []schema.Field{{"Link", long}}})
		}
		p.respond(schema.Response{ID: r.ID, Status: 200, Headers: []schema.Field{}, Body: new("x"), Trailers: []schema.Field{{"X-Long", long}}})
		overdrawn(t, "trailers beyond the quota", v.await(), "label", "responseBytesPerDay")
		short := long[:8_000] // a client accepts no longer trailers
		v, r, head := p.begun(get(host, "/"), schema.Response{Status: 200, Body: &short})
		v.take(head.Body, short)
		p.answer(schema.Part{Type: schema.TypePart, ID: r.ID, Seq: 1, Trailers: []schema.Field{{"X-Long", long[:3_000]}}})
		if _, err := io.ReadAll(head.Body); err == nil {
			t.Error("an answer whose trailers are beyond the quota ends cleanly")
		}
	})
}

// Content that is read before a program gets it counts too.
func TestShortContentCounts(t *testing.T) {
	inWorld(t, Options{Quotas: Quotas{Label: limited(t, "requestBytesPerDay=2000")}}, func(w *world) {
		p := w.claim("demo")
		v := w.visit(requestTo("POST", host, "/", "Content-Length: 1500") + strings.Repeat("x", 1500))
		p.respond(schema.Response{ID: p.next().ID, Status: 204})
		v.await()
		got := w.visit(requestTo("POST", host, "/", "Content-Length: 600") + strings.Repeat("x", 600)).await()
		overdrawn(t, "600 bytes more", got, "label", "requestBytesPerDay")
		if got.handed() != "?0" {
			t.Errorf("handed = %q, want ?0", got.handed())
		}
	})
}

func TestAWebSocketEndsAtTheQuota(t *testing.T) {
	for name, c := range map[string]struct {
		quota string
		use   func(p *program, v *visitor, id string)
	}{
		"out": {"responseBytesPerMonth", func(p *program, v *visitor, id string) {
			text := strings.Repeat("x", 60_000)
			p.answer(schema.Part{Type: schema.TypePart, ID: id, Seq: 1, Body: &text, More: true})
			p.answer(schema.Part{Type: schema.TypePart, ID: id, Seq: 2, Body: &text, More: true})
		}},
		"in": {"requestBytesPerMonth", func(p *program, v *visitor, id string) {
			go func() { _, _ = v.conn.Write(bytes.Repeat([]byte("x"), 120_000)) }()
		}},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, Options{Times: claim.Times{Lease: 24 * time.Hour}, Quotas: Quotas{Label: limited(t, c.quota+"=100000")}}, func(w *world) {
				p := w.claim("demo")
				v, r, _, in := p.upgraded(schema.Response{})
				go func() { _, _ = io.Copy(io.Discard, in.Body) }()
				time.Sleep(time.Minute)
				got := make(chan int, 1)
				go func() {
					rest, _ := io.ReadAll(v.in)
					got <- len(rest)
				}()
				c.use(p, v, r.ID)
				if n := <-got; n > 100_000 {
					t.Errorf("%d bytes came to the visitor", n)
				}
				overdrawn(t, "another request", w.visit(get(host, "/")).awaitOr(t, p), "label", c.quota)
				if ends := w.counted(`reversehttp_exchanges_total{code="quota_exceeded",outcome="failed"}`); len(ends) != 1 {
					t.Errorf("ends = %v, want quota_exceeded", ends)
				}
			})
		})
	}
}

// awaitOr waits for a visitor's answer. If the program gets the request, it answers with more bytes than the
// quota has left.
func (v *visitor) awaitOr(t *testing.T, p *program) *reply {
	t.Helper()
	synctest.Wait()
	if v.pending() {
		p.respond(schema.Response{ID: p.next().ID, Status: 200, Body: new(strings.Repeat("x", 60_000))})
	}
	return v.await()
}

func TestTheHolderOfAKeySeesItsUsage(t *testing.T) {
	key, accounts := ann(t, `,"quotas":{"claims":5,"responseBytesPerDay":1000},"labelQuotas":{"requestsPerMinute":9}`)
	inWorld(t, Options{Accounts: accounts, Quotas: Quotas{Address: limited(t, "claims=7")}, Keys: []string{"sesame"}}, func(w *world) {
		got := w.claims(key, `{"label":"ann-1","token":"`+longToken+`"}`)
		p := &program{world: w, ClaimAnswer: into[schema.ClaimAnswer](t, got)}
		v := w.visit(get("ann-1.localhost:8080", "/"))
		p.respond(schema.Response{ID: p.next().ID, Status: 200, Body: new(strings.Repeat("x", 800))})
		v.await()
		u := into[schema.Usage](t, w.send("GET", "/usage", key, nil))
		use := map[string]schema.QuotaUse{}
		for _, one := range u.Quotas {
			use[one.Name] = one
		}
		if day := use["responseBytesPerDay"]; u.Account != "ann" || use["claims"].Used != 1 || use["claims"].Limit != 5 || use["claims"].ResetsMs != 0 || use["sessions"].Used != 1 || use["sessions"].Limit != 0 ||
			day.Used < 800 || day.Used > 1000 || !day.Near || day.ResetsMs <= 0 || day.ResetsMs > 24*3600*1000 {
			t.Errorf("usage = %+v", u)
		}
		if len(u.Labels) != 1 || u.Labels[0].Label != "ann-1" || len(u.Labels[0].Quotas) != 1 || u.Labels[0].Quotas[0].Used != 1 {
			t.Errorf("labels = %+v", u.Labels)
		}
		if got := w.send("GET", "/usage", "", nil); got.code() != schema.CodeKeyNeeded {
			t.Errorf("without a key = %d %s", got.Status, got.Content)
		}
		if got := w.send("GET", "/usage", longToken, nil); got.code() != schema.CodeKeyWrong {
			t.Errorf("with a token = %d %s", got.Status, got.Content)
		}
		if u := into[schema.Usage](t, w.send("GET", "/usage", "sesame", nil)); u.Account != "" || len(u.Quotas) != 1 || u.Quotas[0].Name != "claims" || u.Quotas[0].Limit != 7 {
			t.Errorf("with a key without a name: %+v", u)
		}
		if got := w.counted("reversehttp_quota_limit"); len(got) != 2 || got[0] != `reversehttp_quota_limit{account="ann",quota="claims"} 5` {
			t.Errorf("metrics = %v", got)
		}
		for _, line := range append(w.counted("reversehttp_quota_used"), w.counted("reversehttp_quota_refusals")...) {
			if strings.Contains(line, "ann-1") || strings.Contains(line, visitorIP) {
				t.Errorf("a label or an address is in the metrics: %s", line)
			}
		}
	})
	inWorld(t, Options{}, func(w *world) {
		if got := w.send("GET", "/usage", key, nil); got.code() != schema.CodeKeyNeeded {
			t.Errorf("where there are no keys = %d %s", got.Status, got.Content)
		}
	})
}

func TestChangedQuotasCountAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "accounts.json")
	key := account.NewKey()
	file := func(more string) {
		accountsOf(t, path, `{"accounts":[{"name":"ann","keys":["`+account.Hash(key)+`"]`+more+`}]}`)
	}
	file("")
	synctest.Test(t, func(t *testing.T) {
		d, err := account.Open(path, terms.ReadPolicy, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		w := newWorld(t, Options{Accounts: d})
		got := w.claims(key, `{"label":"demo","token":"`+longToken+`"}`)
		p := &program{world: w, ClaimAnswer: into[schema.ClaimAnswer](t, got)}
		_, r, head := p.begun(get(host, "/"), schema.Response{Status: 200, Body: new("x")})
		file(`,"labelQuotas":{"requestsPerMinute":1},"quotas":{"responseBytesPerDay":100}`)
		w.gateway.LookAtAccounts()
		p.answer(schema.Part{Type: schema.TypePart, ID: r.ID, Seq: 1, Body: new(strings.Repeat("x", 200)), More: true})
		if rest, err := io.ReadAll(head.Body); err == nil || len(rest) > 100 {
			t.Errorf("a stream goes on with %d bytes, %v, want that it is cut", len(rest), err)
		}
		w.visit(get(host, "/"))
		synctest.Wait()
		overdrawn(t, "a second request", w.visit(get(host, "/")).await(), "label", "requestsPerMinute")
	})
}

func TestUsageSurvivesARestart(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) { usedThrice(t, dir) }) // in fake time, so that no day ends meanwhile
}

// usedThrice starts a gateway three times, and uses less than half of a quota each time.
func usedThrice(t *testing.T, dir string) {
	label := limited(t, "responseBytesPerDay=100000")
	log := slog.New(slog.DiscardHandler)
	for start := range 3 {
		s, err := store.Open(dir, log)
		if err != nil {
			t.Fatal(err)
		}
		kept, err := s.Records()
		if err != nil {
			t.Fatal(err)
		}
		used, err := s.Usage()
		if err != nil {
			t.Fatal(err)
		}
		g, err := New(Options{Records: s, Kept: kept, Quotas: Quotas{Label: label, Keeper: s, Kept: used}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := g.Registry().Open(netip.MustParseAddr(visitorIP), "demo", longToken, claim.Settings{}); err != nil {
			t.Fatal(err)
		}
		m, err := g.quotas.Begin("demo")
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Out(40_000); (err == nil) != (start < 2) {
			t.Errorf("40000 bytes after %d starts: %v, want that 100000 are not passed", start, err)
		}
		m.End()
		g.Close()
		s.Close()
	}
	s, err := store.Open(dir, log)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	old := time.Now().AddDate(0, 0, -40)
	if err := s.KeepUsage(context.Background(), quota.Record{Of: quota.Label, Name: "old", Used: map[string]int64{"responseBytesPerDay": 1}, Since: map[string]time.Time{"responseBytesPerDay": old}}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		used, err := s.Usage()
		text, _ := json.Marshal(used)
		if err != nil || len(used) != 1 || used[0].Used["responseBytesPerDay"] != 80_000 {
			t.Errorf("the stored usage is %s, %v; want 80000 of demo", text, err)
		}
	}
}
