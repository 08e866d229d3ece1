package budget

import (
	"net/netip"
	"testing"
)

func TestSubscribersAreTheNewestFew(t *testing.T) {
	var s Subscribers
	at := netip.MustParseAddr
	s.Add(netip.Addr{})
	if s.Has(netip.Addr{}) {
		t.Error("an invalid address is known")
	}
	s.Add(at("192.0.2.1"))
	s.Add(at("2001:db8::1"))
	s.Add(at("192.0.2.1"))
	for a, want := range map[string]bool{"192.0.2.1": true, "::ffff:192.0.2.1": true, "2001:db8::ffff": true, "2001:db8:0:1::1": false, "192.0.2.2": false} {
		if got := s.Has(at(a)); got != want {
			t.Errorf("%s is known: %v, want %v", a, got, want)
		}
	}
	for _, a := range []string{"192.0.2.2", "192.0.2.3", "192.0.2.4"} {
		s.Add(at(a))
	}
	if len(s.all) != mostSubscribers || s.Has(at("2001:db8::1")) || !s.Has(at("192.0.2.1")) {
		t.Errorf("known are %v, want the newest %d", s.all, mostSubscribers)
	}
	s.Clear()
	if s.Has(at("192.0.2.4")) {
		t.Error("one is known after all were taken out")
	}
}
