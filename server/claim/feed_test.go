package claim

import (
	"net/netip"
	"slices"
	"testing"
)

func TestWhatWasTakenBackIsGivenOnce(t *testing.T) {
	inScene(t, Options{}, func(t *testing.T, s *scene) {
		one := s.session()
		f, err := one.Feed(nil)
		if err != nil {
			t.Fatal(err)
		}
		v := s.visit("POST")
		for range 3 {
			m, err := f.Next(t.Context())
			if err != nil || m.Attempt != 1 {
				t.Fatalf("next = %+v %v, want the request for the first time", m, err)
			}
			one.Delivery(m.ID).GiveBack(false)
		}
		last, err := f.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
		cursor := cursorOf(one.id, 0)
		b := s.take(one, &cursor)
		if !slices.Equal(ids(b), []string{v.x.ID()}) || b.Cursor != last.Cursor || b.Messages[0].Attempt != 2 {
			t.Errorf("a poll has %+v, want the request once, with the cursor %s", b, last.Cursor)
		}
		s.answer(one, v.x, 200, Accepted)
	})
}

func TestGivingBackCostsTheSameHoweverManyWait(t *testing.T) {
	r := New(Options{})
	defer r.Close()
	o, err := r.Open(netip.Addr{}, "demo", "t0", Settings{})
	if err != nil {
		t.Fatal(err)
	}
	one := o.Session
	for range 1_000 {
		x, err := one.Claim().Begin(r.budget.Open(netip.Addr{}), nil)
		if err != nil {
			t.Fatal(err)
		}
		x.claim.mu.Lock()
		x.request = &Request{Method: "POST"}
		x.claim.queue.put(x)
		x.claim.mu.Unlock()
		defer x.end()
	}
	f, err := one.Feed(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	first := ""
	allocated := testing.AllocsPerRun(100, func() {
		m, err := f.Next(t.Context())
		if err != nil || first != "" && m.ID != first {
			t.Fatalf("next = %+v %v, want %s", m, err, first)
		}
		first = m.ID
		one.Delivery(m.ID).GiveBack(false)
	})
	if allocated > 50 {
		t.Errorf("one request that is given back costs %.0f allocations, want 50 at most", allocated)
	}
}
