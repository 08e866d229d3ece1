package claim

import (
	"errors"
	"net/netip"
	"testing"
	"time"
)

// A claim that continues because its end could not be stored ends later for another reason, without an actor.
func TestOnlyTheDeleteThatEndsAClaimIsNoted(t *testing.T) {
	from := netip.MustParseAddr("192.0.2.1")
	for name, again := range map[string]bool{"deleted again": true, "its lease ended": false} {
		t.Run(name, func(t *testing.T) {
			f := &faulty{Records: NewMemoryRecords()}
			ends := make(chan Notice, 2)
			o := Options{Records: f, Noted: func(n Notice) {
				if n.Why != nil {
					ends <- n
				}
			}}
			inScene(t, o, func(t *testing.T, s *scene) {
				s.session()
				f.set(unmade)
				if err := s.claim.Delete(from); !errors.Is(err, ErrUnavailable) {
					t.Fatalf("%v, want ErrUnavailable", err)
				}
				f.set(nil)
				want := Notice{Claim: s.claim, Why: ErrLeaseEnded}
				if again {
					want.By, want.Why = from, ErrClaimDeleted
					if err := s.claim.Delete(from); err != nil {
						t.Fatal(err)
					}
				}
				time.Sleep(24 * time.Hour)
				if n := len(ends); n != 1 {
					t.Fatalf("%d ends were noted, want one", n)
				}
				if got := <-ends; got.By != want.By || got.Why != want.Why {
					t.Errorf("got %+v, want %+v", got, want)
				}
			})
		})
	}
}
