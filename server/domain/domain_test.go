package domain

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"reversehttp/server/claim"
	"reversehttp/server/publicurl"
	"reversehttp/server/terms"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a registry whose claims have domains, and the DNS records of these.
type world struct {
	t        *testing.T
	domains  *Domains
	registry *claim.Registry

	mu      sync.Mutex // guards below
	texts   map[string][]string
	down    bool
	asked   map[string]int
	running int
	most    int // of running, at a time
	block   chan struct{}
}

func newWorld(t *testing.T, o Options) *world {
	t.Helper()
	w := &world{t: t, texts: make(map[string][]string), asked: make(map[string]int)}
	var err error
	if o.Public, err = publicurl.Parse("https://{label}.gateway.test:8443/"); err != nil {
		t.Fatal(err)
	}
	o.Secret, o.Lookup = []byte("secret"), w.lookup
	w.domains = New(o)
	w.registry = claim.New(claim.Options{
		Times: claim.Times{Unpolled: 365 * 24 * time.Hour},
		Tap: func(c *claim.Claim, t claim.Terms) claim.Tap {
			w.domains.Note(c, t)
			return nil
		},
		Untap: w.domains.Forget,
	})
	t.Cleanup(func() {
		w.registry.Close()
		w.domains.Close()
	})
	return w
}

func (w *world) lookup(ctx context.Context, name string) ([]string, error) {
	w.mu.Lock()
	w.asked[name]++
	w.running++
	w.most = max(w.most, w.running)
	texts, down, block := w.texts[name], w.down, w.block
	w.mu.Unlock()
	if block != nil {
		select {
		case <-block:
		case <-ctx.Done():
			down = true
		}
	}
	w.mu.Lock()
	w.running--
	w.mu.Unlock()
	switch {
	case down:
		return nil, &net.DNSError{Err: "server misbehaving", IsTemporary: true}
	case texts == nil:
		return nil, &net.DNSError{Err: "no such host", IsNotFound: true}
	}
	return texts, nil
}

func (w *world) set(name string, texts ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.texts["_reversehttp."+name+"."] = texts
}

func (w *world) setDown(down bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.down = down
}

func (w *world) times(name string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.asked["_reversehttp."+name+"."]
}

func (w *world) atATime() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.most
}

// settings returns settings that request a domain.
func (w *world) settings(name string) claim.Settings {
	w.t.Helper()
	value, _ := json.Marshal(name)
	s, err := terms.Read(terms.Asked{Members: map[string]json.RawMessage{"domain": value}})
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

// claim claims a label with a domain, whose lease outlasts the test.
func (w *world) claim(label, token, name string) *claim.Claim {
	w.t.Helper()
	s := w.settings(name)
	s.Lease = new(365 * 24 * time.Hour)
	o, err := w.registry.Open(netip.Addr{}, label, token, s)
	if err != nil {
		w.t.Fatal(err)
	}
	return o.Session.Claim()
}

// leads fails unless a domain leads to a label, or to none.
func (w *world) leads(when, name, label string) {
	w.t.Helper()
	synctest.Wait()
	if got := w.domains.LabelOf(name); got != label {
		w.t.Errorf("%s: %s leads to %q, want %q", when, name, got, label)
	}
}

const hooks = "hooks.example.org"

func TestARecordProvesWhoControlsADomain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Options{})
		c := w.claim("demo", "token-of-ann", hooks)
		w.leads("without a record", hooks, "")
		told := w.domains.Tell(c)
		if told.Record != "_reversehttp."+hooks || !strings.HasPrefix(told.Value, "reversehttp=") || told.URL != "" || !strings.Contains(told.Problem, "no TXT record") {
			t.Errorf("told %+v", told)
		}
		w.set(hooks, "v=spf1 -all", told.Value+"x")
		time.Sleep(seldom)
		w.leads("with another value", hooks, "")
		w.set(hooks, "v=spf1 -all", told.Value)
		time.Sleep(seldom)
		w.leads("with the record", hooks, "demo")
		if told := w.domains.Tell(c); told.URL != "https://hooks.example.org:8443/" || told.Problem != "" {
			t.Errorf("told %+v", told)
		}
		for _, other := range []string{"example.org", "a.hooks.example.org", "hooks.example.org.", "demo.gateway.test", ""} {
			w.leads("another name", other, "")
		}
		w.set(hooks)
		time.Sleep(again)
		w.leads("when the record is gone", hooks, "")
	})
}

func TestTheValueIsBoundToTokenAndDomain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Options{})
		ann := w.claim("demo", "token-of-ann", hooks)
		value := w.domains.Tell(ann).Value
		w.set(hooks, value)
		if other := w.domains.Tell(w.claim("b", "token-of-ann", "other.example.org")).Value; other == value {
			t.Error("two domains have one value")
		}
		time.Sleep(soon)
		w.leads("at first", hooks, "demo")
		if err := ann.Change(claim.Settings{Token: new("token-of-bob")}); err != nil {
			t.Fatal(err)
		}
		w.leads("for another token", hooks, "")
		if err := ann.Delete(); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		mallory := w.claim("demo", "token-of-mallory", hooks)
		time.Sleep(seldom)
		w.leads("for the next owner of the label", hooks, "")
		if w.domains.Tell(mallory).Value == value {
			t.Error("another token has the same value")
		}
		w.claim("again", "token-of-ann", hooks)
		time.Sleep(seldom)
		w.leads("for the first token, at another label", hooks, "again")
	})
}

func TestADomainLeadsToOneClaim(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Options{})
		a, b := w.claim("a", "token-of-ann", hooks), w.claim("b", "token-of-bob", hooks)
		w.set(hooks, w.domains.Tell(a).Value)
		time.Sleep(seldom)
		w.set(hooks, w.domains.Tell(a).Value, w.domains.Tell(b).Value)
		time.Sleep(2 * seldom)
		w.leads("with both records", hooks, "a")
		if told := w.domains.Tell(b); !strings.Contains(told.Problem, "Another claim") {
			t.Errorf("b gets %+v", told)
		}
		w.set(hooks, w.domains.Tell(b).Value)
		if err := b.Change(w.settings(hooks)); err != nil { // looks at once
			t.Fatal(err)
		}
		time.Sleep(soon)
		w.leads("with that of b alone", hooks, "b")
		if err := b.Change(claim.Settings{Others: map[string]claim.Term{"domain": nil}}); err != nil {
			t.Fatal(err)
		}
		w.leads("when b wants it no more", hooks, "")
		if w.domains.Tell(b) != (State{}) {
			t.Errorf("b gets %+v", w.domains.Tell(b))
		}
	})
}

func TestADomainSurvivesADayWithoutAnswersOfDNS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Options{})
		w.setDown(true)
		c := w.claim("demo", "token-of-ann", hooks)
		w.set(hooks, w.domains.Tell(c).Value)
		time.Sleep(seldom)
		w.leads("before anybody answered", hooks, "")
		w.setDown(false)
		time.Sleep(seldom)
		w.leads("then", hooks, "demo")
		w.setDown(true)
		time.Sleep(forgive - again)
		w.leads("after a while", hooks, "demo")
		time.Sleep(again + unknown)
		w.leads("after a day", hooks, "")
	})
}

func TestTheOperatorsListNeedsNoRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Options{Listed: map[string]string{hooks: "demo"}})
		mallory := w.claim("mallory", "token-of-mallory", hooks)
		w.set(hooks, valuePrefix+"x", w.domains.Tell(mallory).Value)
		time.Sleep(seldom)
		w.leads("for another label", hooks, "")
		if told := w.domains.Tell(mallory); !strings.Contains(told.Problem, "another label") || told.Record != "" {
			t.Errorf("mallory gets %+v", told)
		}
		w.claim("demo", "token-of-ann", hooks)
		w.leads("for its label", hooks, "demo")
		if n := w.times(hooks); n != 0 {
			t.Errorf("its record was looked for %d times", n)
		}
	})
}

func TestTheGatewaysOwnNamesAreRefusedAsDomains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Options{Listed: map[string]string{"x.gateway.test": "demo"}})
		for i, name := range []string{"gateway.test", "x.gateway.test", "a.b.gateway.test"} {
			label := "demo"
			if i != 1 {
				label = fmt.Sprintf("d%d", i)
			}
			w.claim(label, "token-of-ann", name)
			time.Sleep(seldom)
			w.leads("the gateway's own", name, "")
			if n := w.times(name); n != 0 {
				t.Errorf("records of %s were looked for %d times", name, n)
			}
		}
	})
}

func TestLookupsHaveBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Options{})
		w.block = make(chan struct{}) // the servers do not answer
		for i := range 100 {
			w.claim(fmt.Sprintf("c%d", i), "token-of-ann", fmt.Sprintf("c%d.example.org", i))
		}
		synctest.Wait()
		if n := w.atATime(); n != mostLookups {
			t.Errorf("%d lookups at a time, want %d", n, mostLookups)
		}
		time.Sleep(100 * lookupTime)
		for i := range 100 {
			if n := w.times(fmt.Sprintf("c%d.example.org", i)); n == 0 {
				t.Errorf("nobody looked for c%d", i)
			}
		}
		if n := w.atATime(); n != mostLookups {
			t.Errorf("%d lookups at a time, want %d", n, mostLookups)
		}
	})
}

func TestAMissingRecordIsLookedUpMoreAndMoreRarely(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Options{})
		c := w.claim("demo", "token-of-ann", hooks)
		time.Sleep(24 * time.Hour)
		if n := w.times(hooks); n < 24 || n > 40 {
			t.Errorf("looked for %d times in a day", n)
		}
		before := w.times(hooks)
		for range 100 { // an owner requests it repeatedly
			if err := c.Change(w.settings(hooks)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(soon / 10)
		}
		if n := w.times(hooks) - before; n < 5 || n > 11 {
			t.Errorf("looked for %d times in 50 s, want once in 5 s", n)
		}
	})
}

func TestAnInvalidDomainIsRefused(t *testing.T) {
	for _, name := range []string{
		"x", "localhost", "a.localhost", "192.0.2.1", "[::1]", "::1", "a..b.org", ".a.org", "-a.org", "a-.org", "a_b.org", "é.org", "a.org/x", "a.org:80", "a.123", "*.a.org", " a.org",
		strings.Repeat("a", 64) + ".org", strings.Repeat("abcdefg.", 40) + "org",
	} {
		if got := terms.ReadDomain(name); got != "" {
			t.Errorf("%q is a domain, %q", name, got)
		}
	}
	for name, want := range map[string]string{"Hooks.Example.ORG.": hooks, "xn--bcher-kva.example": "xn--bcher-kva.example", "a.b": "a.b"} {
		if got := terms.ReadDomain(name); got != want {
			t.Errorf("%q = %q, want %q", name, got, want)
		}
	}
	if _, err := terms.Read(terms.Asked{Members: map[string]json.RawMessage{"domain": json.RawMessage(`7`)}}); err == nil || errors.Unwrap(err) != nil {
		t.Errorf("a number: %v", err)
	}
}
