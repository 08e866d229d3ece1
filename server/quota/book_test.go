package quota

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// disk is a keeper that counts writes, and fails when it is full.
type disk struct {
	mu     sync.Mutex
	kept   map[string]Record
	writes int
	full   bool
}

func (d *disk) KeepUsage(_ context.Context, all ...Record) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.full {
		return errors.New("full")
	}
	if d.kept == nil {
		d.kept = map[string]Record{}
	}
	d.writes++
	for _, r := range all {
		d.kept[string(r.Of)+r.Name] = r
	}
	return nil
}

// records returns the stored records.
func (d *disk) records() (all []Record) {
	for _, r := range d.kept {
		all = append(all, r)
	}
	return all
}

func limits(t *testing.T, content string) *Limits {
	t.Helper()
	l := new(Limits)
	if err := json.Unmarshal([]byte(content), l); err != nil {
		t.Fatal(err)
	}
	return l
}

// newBook returns a book with limits for every account, every label and every address. Nil means
// none.
func newBook(account, label, address *Limits, d *disk) *Book {
	o := Options{
		Account: func(string) (*Limits, bool) { return account, account != nil },
		Label:   func(string) *Limits { return label }, Address: address, Log: slog.New(slog.DiscardHandler),
	}
	if d != nil {
		o.Keeper, o.Kept = d, d.records()
	}
	return New(o)
}

var ann = Maker{Account: "ann"}

func at(address string) Maker { return Maker{Address: netip.MustParsePrefix(address)} }

// begin claims a label and begins a request.
func begin(t *testing.T, b *Book, label string, m Maker) *Meter {
	t.Helper()
	if _, _, err := b.Claim(label, m, false); err != nil {
		t.Fatal(err)
	}
	meter, err := b.Begin(label)
	if err != nil {
		t.Fatal(err)
	}
	return meter
}

func wants(t *testing.T, what string, err error, of Of, k Kind) {
	t.Helper()
	var e *Exceeded
	if !errors.As(err, &e) || e.Of != of || e.Kind != k {
		t.Errorf("%s: %v, want that %s of the %s is used up", what, err, k, of)
	}
}

func TestALimitIsReachedButNotExceeded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBook(limits(t, `{"claims":2,"sessions":3,"inFlight":2,"requestsPerMinute":5}`), limits(t, `{"sessions":2}`), nil, nil)
		_, release, err := b.Claim("a", ann, false)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := b.Claim("b", ann, false); err != nil {
			t.Fatal(err)
		}
		_, _, err = b.Claim("c", ann, false)
		wants(t, "a third claim", err, Account, Claims)
		var leave func()
		for range 2 {
			if leave, err = b.Session("a"); err != nil {
				t.Fatal(err)
			}
		}
		_, err = b.Session("a")
		wants(t, "a third session of a label", err, Label, Sessions)
		if _, err = b.Session("b"); err != nil {
			t.Errorf("a session that the label refused counts for the account: %v", err)
		}
		_, err = b.Session("b")
		wants(t, "a fourth session", err, Account, Sessions)
		leave()
		if _, err = b.Session("b"); err != nil {
			t.Errorf("after one ended: %v", err)
		}

		first, err := b.Begin("a")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.Begin("b"); err != nil {
			t.Fatal(err)
		}
		_, err = b.Begin("a")
		wants(t, "a third in flight", err, Account, InFlight)
		first.End()
		for range 3 {
			m, err := b.Begin("a")
			if err != nil {
				t.Fatal(err)
			}
			m.End()
		}
		_, err = b.Begin("a")
		wants(t, "a sixth in a minute", err, Account, RequestsPerMinute)
		if e := err.(*Exceeded); e.After <= 0 || e.After > time.Minute {
			t.Errorf("after %s, want within the minute", e.After)
		}
		_, err = b.Begin("a")
		wants(t, "again", err, Account, RequestsPerMinute) // and not that too many are in flight
		time.Sleep(time.Minute)
		m, err := b.Begin("a")
		if err != nil {
			t.Fatalf("in the next minute: %v", err)
		}
		m.Refund()
		m.End()
		if uses, _ := b.Usage(ann, 0); uses[RequestsPerMinute].Used != 0 || uses[InFlight].Used != 1 {
			t.Errorf("a request that was refused: %+v", uses)
		}
		release()
		if _, _, err := b.Claim("c", ann, false); err != nil {
			t.Errorf("after a claim ended: %v", err)
		}
	})
}

func TestBytesAreCountedForTheDayAndTheMonth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // it is midnight, 1 January 2000
		b := newBook(limits(t, `{"requestBytesPerDay":100,"responseBytesPerDay":100,"responseBytesPerMonth":150}`), nil, nil, nil)
		m := begin(t, b, "a", ann)
		if err := m.Out(100); err != nil {
			t.Fatal(err)
		}
		wants(t, "one more", m.Out(1), Account, ResponseBytesPerDay)
		if err := m.In(90); err != nil {
			t.Errorf("the other direction: %v", err)
		}
		wants(t, "what has come", m.In(20), Account, RequestBytesPerDay)
		if uses, _ := b.Usage(ann, 0); uses[RequestBytesPerDay].Used != 110 || uses[ResponseBytesPerDay].Used != 100 || !uses[ResponseBytesPerDay].Near {
			t.Errorf("%+v, want that what has come counts, and what was not sent does not", uses)
		}
		time.Sleep(24 * time.Hour)
		if err := m.Out(50); err != nil {
			t.Errorf("on the next day: %v", err)
		}
		wants(t, "and of the month", m.Out(1), Account, ResponseBytesPerMonth)
		time.Sleep(30 * 24 * time.Hour)
		if err := m.Out(100); err != nil {
			t.Errorf("in the next month: %v", err)
		}
	})
}

// A program does no work for an answer that nobody would get.
func TestNothingBeginsWithinTheLastHundredthOfALimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, k := range []Kind{RequestBytesPerDay, ResponseBytesPerMonth} {
			b := newBook(nil, limits(t, `{"`+k.String()+`":1000}`), nil, nil)
			m := begin(t, b, "a", ann)
			use := m.Out
			if k == RequestBytesPerDay {
				use = m.In
			}
			if err := use(989); err != nil {
				t.Fatal(err)
			}
			if _, err := b.Begin("a"); err != nil {
				t.Errorf("%s: with 11 of 1000 left: %v", k, err)
			}
			if err := use(1); err != nil {
				t.Fatal(err)
			}
			_, err := b.Begin("a")
			wants(t, "with 10 of 1000 left", err, Label, k)
			if err := use(10); err != nil {
				t.Errorf("%s: what has begun goes on to the end: %v", k, err)
			}
		}
	})
}

// After a crash no usage is forgotten, and little is counted that was not used, with few writes.
func TestUseIsOnTheDiskBeforeItHappens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const limit, piece = 100 << 20, 64 << 10
		account := limits(t, fmt.Sprintf(`{"responseBytesPerDay":%d}`, limit))
		d := &disk{}
		m := begin(t, newBook(account, nil, nil, d), "a", ann)
		used := 0
		for range 400 {
			if err := m.Out(piece); err != nil {
				t.Fatal(err)
			}
			used += piece
			after := newBook(account, nil, nil, d) // if it crashed here
			uses, _ := after.Usage(ann, 0)
			got := int(uses[ResponseBytesPerDay].Used)
			if got < used && (used > limit/100 || d.writes > 0) || got > used+limit/100+piece {
				t.Fatalf("after a crash %d count, and %d were used", got, used)
			}
		}
		if d.writes > used*101/limit+2 {
			t.Errorf("%d writes for %d bytes of %d", d.writes, used, limit)
		}

		one := newBook(account, nil, nil, d)
		last := begin(t, one, "a", ann)
		for last.Out(piece) == nil {
		}
		for range 3 { // one crash after another
			again := newBook(account, nil, nil, d)
			if _, _, err := again.Claim("a", ann, true); err != nil {
				t.Fatal(err)
			}
			_, err := again.Begin("a")
			wants(t, "after a restart", err, Account, ResponseBytesPerDay)
		}
	})
}

func TestAGatewayThatStopsStoresTheExactUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		label, d := limits(t, `{"requestBytesPerMonth":1000000}`), &disk{}
		b := newBook(nil, label, nil, d)
		if err := begin(t, b, "a", Maker{}).In(12_345); err != nil {
			t.Fatal(err)
		}
		b.Close()
		next := newBook(nil, label, limits(t, `{"claims":9}`), d)
		if _, _, err := next.Claim("a", at("192.0.2.1/32"), true); err != nil {
			t.Fatal(err)
		}
		if _, labels := next.Usage(at("192.0.2.1/32"), 9); len(labels["a"]) != 1 || labels["a"][0].Used != 12_345 {
			t.Errorf("%+v, want 12345 of the label", labels)
		}
		time.Sleep(40 * 24 * time.Hour)
		later := newBook(nil, label, nil, d)
		if m := begin(t, later, "a", Maker{}); m.In(999_999) != nil {
			t.Error("what was used in another month counts")
		}
	})
}

func TestUseThatCannotBeStoredIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &disk{full: true}
		m := begin(t, newBook(limits(t, `{"responseBytesPerDay":1000}`), nil, nil, d), "a", ann)
		if err := m.Out(10); err != nil {
			t.Errorf("a hundredth: %v, want that it need not be kept", err)
		}
		if err := m.Out(1); !errors.Is(err, ErrUnkept) {
			t.Errorf("%v, want that it cannot be kept", err)
		}
		d.full = false
		if err := m.Out(1); err != nil {
			t.Errorf("once it can: %v", err)
		}
	})
}

func TestManyAddressesTakeLittleMemoryAndResetNoUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBook(nil, nil, limits(t, `{"responseBytesPerDay":100}`), nil)
		b.most = 1_000
		use := func(m Maker, n int) error {
			t.Helper()
			_, release, err := b.Claim("a", m, false)
			if err != nil {
				t.Fatal(err)
			}
			defer release()
			meter, err := b.Begin("a")
			if err != nil {
				return err
			}
			return meter.Out(n)
		}
		spend := func(m Maker) error { return use(m, 100) }
		for n := range 3 * b.most { // those who use at most a hundredth are forgotten
			time.Sleep(time.Second)
			if err := use(at(netip.PrefixFrom(netip.AddrFrom4([4]byte{11, byte(n >> 16), byte(n >> 8), byte(n)}), 32).String()), 1); err != nil {
				t.Fatalf("address %d of many who use little: %v", n, err)
			}
		}
		if err := spend(at("203.0.113.7/32")); err != nil {
			t.Errorf("who comes after many who used little: %v", err)
		}
		first := at("203.0.113.1/32")
		if err := spend(first); err != nil {
			t.Fatal(err)
		}
		for n := range b.most + 10 {
			_ = spend(at(netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)}), 32).String()))
		}
		if len(b.owners) > b.most+1 {
			t.Errorf("%d are remembered", len(b.owners))
		}
		wants(t, "who used all of it before", spend(first), Address, ResponseBytesPerDay)
		wants(t, "one of too many", spend(at("198.51.100.1/32")), Address, ResponseBytesPerDay)
		time.Sleep(24 * time.Hour)
		if err := spend(at("198.51.100.2/32")); err != nil {
			t.Errorf("on the next day: %v", err)
		}
		if len(b.owners) > 10 {
			t.Errorf("%d are remembered of whom nothing need be", len(b.owners))
		}
	})
}

func TestTheLogWarnsOnceADayThatLittleIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		b := New(Options{
			Account: func(string) (*Limits, bool) { return limits(t, `{"responseBytesPerDay":100}`), true }, Label: func(string) *Limits { return nil },
			Log: slog.New(slog.NewTextHandler(&log, nil)),
		})
		m := begin(t, b, "a", ann)
		for range 79 {
			_ = m.Out(1)
		}
		if b.Tell(); log.Len() > 0 {
			t.Errorf("with 79 of 100: %s", log.String())
		}
		for range 40 {
			_ = m.Out(1)
		}
		b.Tell()
		if got := log.String(); strings.Count(got, "nearly used up") != 1 || strings.Count(got, "quota used up") != 1 || !strings.Contains(got, "name=ann quota=responseBytesPerDay used=80 limit=100") {
			t.Errorf("the log says %s", got)
		}
	})
}

func TestAnInvalidLimitIsRefused(t *testing.T) {
	for _, pair := range []string{"claims", "claims=0", "claims=-1", "claims=1.5", "claims=5k", "claims=", "bytes=1", "responseBytesPerDay=x", "=1"} {
		if l, err := Parse([]string{pair}); err == nil {
			t.Errorf("%s = %v", pair, l)
		}
	}
	l, err := Parse([]string{"claims=5", "responseBytesPerDay=5GiB"})
	if err != nil || l[Claims] != 5 || l[ResponseBytesPerDay] != 5<<30 {
		t.Errorf("%v, %v", l, err)
	}
	text, _ := json.Marshal(l)
	if again := limits(t, string(text)); *again != *l || *limits(t, `{"claims":5,"responseBytesPerDay":"5GiB"}`) != *l {
		t.Errorf("%s is %v", text, again)
	}
	for _, content := range []string{`{"claims":0}`, `{"claims":-1}`, `{"claims":1.5}`, `{"claim":1}`, `{"claims":null}`, `[]`} {
		if err := json.Unmarshal([]byte(content), new(Limits)); err == nil {
			t.Errorf("%s is taken", content)
		}
	}
}

func TestMetersCountOnlyWhereThereIsAQuota(t *testing.T) {
	b := newBook(nil, nil, limits(t, `{"claims":9}`), nil)
	if _, _, err := b.Claim("a", ann, false); err != nil {
		t.Fatal(err)
	}
	if m, err := b.Begin("a"); m != nil || err != nil {
		t.Errorf("a meter %v, %v for an account without quotas", m, err)
	}
	var none *Book
	if m, err := none.Begin("a"); m != nil || err != nil {
		t.Error("no book counts")
	}
	var nothing *Meter
	nothing.End()
	nothing.Refund()
	if nothing.In(1) != nil || nothing.Out(1) != nil {
		t.Error("no meter refuses")
	}
}
