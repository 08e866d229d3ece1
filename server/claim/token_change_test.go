package claim

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

// A program that knows only the old token gets no further requests.
func TestAChangedTokenEndsOpenPolls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := New(Options{})
		defer r.Close()
		o, err := r.Open(netip.Addr{}, "demo", "old", Settings{})
		if err != nil {
			t.Fatal(err)
		}
		l := listen(o.Session, nil, time.Hour)
		token := "new"
		if err := o.Session.Claim().Change(Settings{Token: &token}); err != nil {
			t.Fatal(err)
		}
		if l.open() || l.err != nil {
			t.Errorf("the poll goes on or failed: %v", l.err)
		}
		if polls := r.Stats().Polls; polls != 0 {
			t.Errorf("%d polls, want none", polls)
		}
		if again := listen(o.Session, nil, time.Hour); !again.open() {
			t.Error("the session cannot poll again")
		} else {
			again.stop()
			<-again.done
		}
	})
}
