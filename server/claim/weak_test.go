package claim

import (
	"net/netip"
	"testing"
)

func TestAWeakTokenCannotBeChosen(t *testing.T) {
	weak := func(label, token string) bool { return len(token) < 4 && label != "operators" }
	kept := Kept{Record: Record{Label: "kept", Token: HashToken("old"), Terms: Terms{Lease: 60e9, Timeout: 60e9, Redeliver: RedeliverIdempotent}}}
	r := New(Options{Weak: weak, Kept: []Kept{kept}})
	defer r.Close()
	open := func(label, token string) (*Opened, error) { return r.Open(netip.Addr{}, label, token, Settings{}) }
	for _, c := range []struct {
		label, token string
		want         error
	}{
		{"demo", "abc", ErrWeakToken}, {"", "abc", ErrWeakToken}, {"demo", "abcd", nil}, {"demo", "abc", ErrLabelTaken}, {"demo", "abcd", nil},
		{"other", "", nil}, {"operators", "o", nil}, {"kept", "old", nil}, {"kept", "new", ErrLabelTaken},
	} {
		if _, err := open(c.label, c.token); err != c.want {
			t.Errorf("open %q with %q: %v, want %v", c.label, c.token, err, c.want)
		}
	}
	if _, err := r.Enter(netip.Addr{}, Place{Door: "d"}, "entered", "abc", Settings{}); err != ErrWeakToken {
		t.Errorf("enter with a weak token: %v, want %v", err, ErrWeakToken)
	}
	if n := r.Stats().Claims; n != 4 {
		t.Errorf("there are %d claims, want 4: one that is refused holds no place", n)
	}
	for _, c := range []struct {
		label, token string
		want         error
	}{{"demo", "xyz", ErrWeakToken}, {"demo", "wxyz", nil}, {"kept", "old", nil}, {"kept", "odd", ErrWeakToken}, {"operators", "p", nil}} {
		if err := r.Lookup(c.label).Change(Settings{Token: &c.token}); err != c.want {
			t.Errorf("change the token of %s to %q: %v, want %v", c.label, c.token, err, c.want)
		}
	}
}

func TestAfterAChangeTheNewTokenMustBeShown(t *testing.T) {
	r := New(Options{})
	defer r.Close()
	at := netip.MustParseAddr("192.0.2.1")
	o, err := r.Open(at, "demo", "old", Settings{})
	if err != nil {
		t.Fatal(err)
	}
	if !o.Session.Known.Has(at) {
		t.Error("the session does not know who opened it")
	}
	if err := o.Session.Claim().Change(Settings{Token: new("new")}); err != nil {
		t.Fatal(err)
	}
	if o.Session.Known.Has(at) {
		t.Error("who showed the old token is known still")
	}
}
