package admission

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"reversehttp/server/claim"
)

func TestKeysAreComparedWhole(t *testing.T) {
	if (Keys{}).Needed() || NewKeys([]string{""}).Needed() {
		t.Error("no key is needed, yet Needed says so")
	}
	k := NewKeys([]string{"one", "", "two"})
	for key, want := range map[string]bool{"one": true, "two": true, "": false, "on": false, "one ": false, "One": false, "onetwo": false} {
		if got := k.Valid(key); got != want || !k.Needed() {
			t.Errorf("Valid(%q) = %v, want %v", key, got, want)
		}
	}
	if (Keys{}).Valid("") {
		t.Error("the empty key is valid where there is none")
	}
}

func TestReservedLabelsAreLabels(t *testing.T) {
	reserved := NewReserved(Reserved, nil)
	for _, label := range Reserved {
		if !claim.ValidLabel(label) || !reserved(label, "t") {
			t.Errorf("%q is no label, or not reserved", label)
		}
	}
	if reserved("demo", "t") || NewReserved(nil, nil)("www", "t") {
		t.Error("a label is reserved that is not in the list")
	}
}

func TestAnOwnedLabelIsForItsToken(t *testing.T) {
	reserved := NewReserved(Reserved, map[string]string{"lamp": "k-lamp", "www": "k-www"})
	for _, c := range []struct {
		label, token string
		want         bool
	}{{"lamp", "k-lamp", false}, {"lamp", "k-www", true}, {"lamp", "", true}, {"www", "k-www", false}, {"www", "k", true}, {"api", "k-lamp", true}, {"demo", "k", false}, {"k-lamp", "k", true}} {
		if got := reserved(c.label, c.token); got != c.want {
			t.Errorf("%s with %q is reserved: %v, want %v", c.label, c.token, got, c.want)
		}
	}
}

func TestAnAddressHasItsRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := NewRate(0.5) // ten at once
		a, b := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
		for i := range 10 {
			if !r.Allow(a) {
				t.Fatalf("event %d of the burst is refused", i)
			}
		}
		if r.Allow(a) || !r.Allow(b) {
			t.Error("the bound is not that of one address")
		}
		time.Sleep(2 * time.Second)
		if !r.Allow(a) || r.Allow(a) {
			t.Error("two seconds do not give one event more")
		}
	})
}

func TestASubscriberOfIPv6IsOneAddress(t *testing.T) {
	r := NewRate(0.05) // one at once
	if !r.Allow(netip.MustParseAddr("2001:db8::1")) || r.Allow(netip.MustParseAddr("2001:db8::ffff:2%eth0")) {
		t.Error("addresses of one /64 are counted apart")
	}
	if !r.Allow(netip.MustParseAddr("2001:db8:0:1::1")) {
		t.Error("another /64 is counted with it")
	}
}

func TestNoRateBoundsNothing(t *testing.T) {
	for _, perSecond := range []float64{0, -1} {
		r := NewRate(perSecond)
		for range 1000 {
			if !r.Allow(netip.MustParseAddr("192.0.2.1")) {
				t.Fatalf("a rate of %v refuses", perSecond)
			}
		}
		if len(r.seen) > 0 {
			t.Errorf("a rate of %v remembers %d addresses", perSecond, len(r.seen))
		}
	}
}

func TestManyAddressesTakeLittleMemoryAndLockNobodyOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := NewRate(0.05)
		for i := range uint32(maxAddresses + 1000) {
			var b [4]byte
			binary.BigEndian.PutUint32(b[:], 0x0b000000+i)
			if !r.Allow(netip.AddrFrom4(b)) {
				t.Fatalf("the first event of address %d is refused", i)
			}
		}
		if len(r.seen) != maxAddresses {
			t.Errorf("%d addresses are remembered, want %d", len(r.seen), maxAddresses)
		}
		time.Sleep(forgetAfter + 1)
		r.Allow(netip.MustParseAddr("192.0.2.1"))
		if len(r.seen) != 1 {
			t.Errorf("%d addresses are remembered after a quiet minute, want 1", len(r.seen))
		}
	})
}
