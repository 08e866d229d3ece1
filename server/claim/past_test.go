package claim

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"reversehttp/server/budget"
)

const ninetyDays = 90 * 24 * time.Hour

// remembering returns the options of a registry that remembers released labels.
func remembering(keep time.Duration) Options {
	return Options{Records: NewMemoryRecords(), Limits: Limits{Released: 1000}, Times: Times{Released: keep, Lease: time.Hour, Unpolled: time.Hour}}
}

// has claims a label, or one at random, and returns the claim.
func (s *scene) has(label, token string) *Claim {
	s.t.Helper()
	o, err := s.Open(netip.Addr{}, label, token, Settings{})
	if err != nil {
		s.t.Fatalf("open %q with %s: %v", label, token, err)
	}
	return o.Session.Claim()
}

// hasNot fails unless a label is refused for a reason.
func (s *scene) hasNot(label, token string, why error) {
	s.t.Helper()
	if _, err := s.Open(netip.Addr{}, label, token, Settings{}); err != why {
		s.t.Errorf("open %q with %s: %v, want %v", label, token, err, why)
	}
}

// release deletes a claim.
func (s *scene) release(c *Claim) {
	s.t.Helper()
	if err := c.Delete(); err != nil {
		s.t.Fatal(err)
	}
}

func TestAReleasedLabelIsKeptForItsToken(t *testing.T) {
	inScene(t, remembering(ninetyDays), func(t *testing.T, s *scene) {
		s.release(s.has("deleted", "t0"))
		s.has("ended", "t0")
		time.Sleep(time.Hour)
		synctest.Wait()
		if s.Lookup("ended") != nil {
			t.Fatal("the lease did not end")
		}
		for _, label := range []string{"deleted", "ended"} {
			s.hasNot(label, "t1", ErrLabelKept)
			s.hasNot(label, "", ErrLabelKept)
			c := s.has(label, "t0")
			if c.Past != "" {
				t.Errorf("%s: %q, want no change of owner", label, c.Past)
			}
			s.release(c)
		}
		time.Sleep(ninetyDays - time.Millisecond)
		s.hasNot("deleted", "t1", ErrLabelKept)
		time.Sleep(time.Millisecond)
		if c := s.has("deleted", "t1"); c.Past == "" {
			t.Error("after 90 days: no change of owner")
		}
		s.hasNot("deleted", "t0", ErrLabelTaken)
	})
}

func TestALabelThatIsNotReservedCanChangeItsOwner(t *testing.T) {
	o := remembering(0)
	var kept []Kept
	past := map[string]string{}
	inScene(t, o, func(t *testing.T, s *scene) {
		c := s.has("demo", "t0")
		if c.Past != "" {
			t.Errorf("of the first owner: %q, want none", c.Past)
		}
		if err := c.Change(Settings{Token: new("t1")}); err != nil { // the owner is the same
			t.Fatal(err)
		}
		s.release(c)
		for _, owner := range []string{"t1", "t0", "t0", "t2"} {
			c := s.has("demo", owner)
			past[owner] = c.Past
			s.release(c)
		}
		if past["t1"] != "" || past["t0"] == "" || past["t2"] == "" || past["t0"] == past["t2"] {
			t.Errorf("the changes are %q, want none for t1, and a name for each of the others", past)
		}
		s.has("demo", "t2")
		r := recordOf(o.Records)
		_, revision, _ := o.Records.Get(context.Background(), "demo")
		kept = append(kept, Kept{r, revision})
	})
	o.Kept = kept
	inScene(t, o, func(t *testing.T, s *scene) { // after a restart
		if c := s.Lookup("demo"); c == nil || c.Past != past["t2"] {
			t.Errorf("restored: %+v, want the change %q", c, past["t2"])
		}
	})
}

func TestReleasedLabelsAreRememberedAfterARestart(t *testing.T) {
	o := remembering(ninetyDays)
	inScene(t, o, func(t *testing.T, s *scene) { s.release(s.has("demo", "t0")) })
	_, revision, _ := o.Records.Get(context.Background(), "demo")
	o.Kept = []Kept{{recordOf(o.Records), revision}}
	inScene(t, o, func(t *testing.T, s *scene) {
		if s.Lookup("demo") != nil || s.Stats().Claims != 0 {
			t.Errorf("the label is claimed: %+v", s.Stats())
		}
		s.hasNot("demo", "t1", ErrLabelKept)
		s.has("demo", "t0")
	})
}

func TestARandomLabelIsNeverGivenToAnother(t *testing.T) {
	inScene(t, remembering(0), func(t *testing.T, s *scene) {
		c := s.has("", "t0")
		s.release(c)
		time.Sleep(10 * ninetyDays)
		s.hasNot(c.Label(), "t1", ErrLabelKept)
		if again := s.has(c.Label(), "t0"); again.Past != "" {
			t.Errorf("%q, want no change of owner", again.Past)
		}
		s.release(s.Lookup(c.Label()))
		s.hasNot(c.Label(), "t1", ErrLabelKept)

		picks := []string{c.Label(), c.Label(), "another"}
		s.making.pick = func() (label string) {
			label, picks = picks[0], picks[1:]
			return label
		}
		if got := s.has("", "t1").Label(); got != "another" || len(picks) > 0 {
			t.Errorf("given %q, %d left; want the one that nobody had", got, len(picks))
		}
	})
}

func TestRandomLabelsDiffer(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		label := pickLabel()
		if random := label[len(label)-10:]; !ValidLabel(label) || seen[random] {
			t.Fatalf("%q is no label, or its end came before", label)
		} else {
			seen[random] = true
		}
	}
}

func TestTheOperatorsOwnProgramsGetAReservedLabel(t *testing.T) {
	o := remembering(ninetyDays)
	o.Given = func(label, token string) bool { return label == "demo" && token == "device" }
	inScene(t, o, func(t *testing.T, s *scene) {
		s.release(s.has("demo", "t0"))
		s.hasNot("demo", "t1", ErrLabelKept)
		if c := s.has("demo", "device"); c.Past == "" {
			t.Error("no change of owner")
		}
	})
}

func TestTheShortestLivedLabelsAreForgotten(t *testing.T) {
	o := remembering(ninetyDays)
	o.Limits.Released, o.Times.Unpolled, o.Times.Lease = 3, 24*time.Hour, 24*time.Hour
	inScene(t, o, func(t *testing.T, s *scene) {
		for i, label := range []string{"day", "hour", "minute", "second"} {
			c := s.has(label, "t0")
			time.Sleep([]time.Duration{23 * time.Hour, time.Hour, time.Minute, time.Second}[i])
			s.release(c)
		}
		// A program that returns has what it had before.
		time.Sleep(ninetyDays / 2)
		c := s.has("hour", "t0")
		time.Sleep(time.Second)
		s.release(c)
		for range 10 {
			s.release(s.has("", ""))
		}
		for label, want := range map[string]error{"day": ErrLabelKept, "hour": ErrLabelKept, "minute": ErrLabelKept, "second": nil} {
			if _, err := s.Open(netip.Addr{}, label, "t1", Settings{}); err != want {
				t.Errorf("%s: %v, want %v", label, err, want)
			}
		}
		m := o.Records.(*memoryRecords)
		m.mu.Lock()
		defer m.mu.Unlock()
		if len(m.kept) != 4 || len(s.past.all) != 3 || len(s.past.heap) != 3 {
			t.Errorf("%d records, %d and %d remembered; want 3 released labels and a claim", len(m.kept), len(s.past.all), len(s.past.heap))
		}
	})
}

func TestAStartWithTooManyReleasedLabelsForgetsThemGradually(t *testing.T) {
	o := remembering(ninetyDays)
	inScene(t, o, func(t *testing.T, s *scene) {
		for i := range 20 {
			s.release(s.has(fmt.Sprint("demo-", i), "t0"))
		}
	})
	m := o.Records.(*memoryRecords)
	for _, k := range m.kept {
		o.Kept = append(o.Kept, k)
	}
	o.Limits.Released = 5
	inScene(t, o, func(t *testing.T, s *scene) {
		for i := range 10 {
			s.release(s.has(fmt.Sprint("other-", i), "t0"))
		}
		if len(m.kept) != 5 || len(s.past.all) != 5 {
			t.Errorf("%d records, %d remembered; want 5", len(m.kept), len(s.past.all))
		}
	})
}

func TestAnAddressKeepsAHundredLabels(t *testing.T) {
	inScene(t, remembering(ninetyDays), func(t *testing.T, s *scene) {
		releases := func(label string, from netip.Addr) {
			t.Helper()
			o, err := s.Open(from, label, "t0", Settings{})
			if err != nil {
				t.Fatal(err)
			}
			s.release(o.Session.Claim())
		}
		someone := netip.MustParseAddr("2001:db8::1")
		network := budget.Subscriber(someone)
		releases("another", another)
		for i := range mostKept + 1 {
			releases("", someone) // these nobody else gets anyway
			releases(fmt.Sprint("demo-", i), someone)
			someone = someone.Next() // of the same network
		}
		for label, want := range map[string]error{"another": ErrLabelKept, "demo-1": ErrLabelKept, "demo-0": nil} {
			o, err := s.Open(netip.Addr{}, label, "t1", Settings{})
			if err != want {
				t.Errorf("%s: %v, want %v", label, err, want)
			}
			if err == nil && o.Session.Claim().Past == "" {
				t.Errorf("%s: no change of owner", label)
			}
		}
		if got := len(s.past.of[network]); got != mostKept {
			t.Errorf("%d labels count for the address, want %d", got, mostKept)
		}
		s.has("demo-1", "t0")
		s.has("another", "t0")
		if got := len(s.past.of[network]); got != mostKept-1 || len(s.past.of) != 1 {
			t.Errorf("%d labels count for the address, want one less, and no other address", got)
		}
	})
}

func TestALabelThatCannotBeClaimedStaysReleased(t *testing.T) {
	for name, fault := range map[string]fault{
		"it was not made":         only("update", unmade),
		"it was made":             only("update", madeAndFailed),
		"nobody answered":         only("update", hangs),
		"nobody knows what it is": only("update get", hangs),
	} {
		t.Run(name, func(t *testing.T) {
			o := remembering(0)
			f := &faulty{Records: o.Records}
			o.Records = f
			inScene(t, o, func(t *testing.T, s *scene) {
				s.release(s.has("demo", "t0"))
				was := recordOf(f.Records)
				f.set(fault)
				s.hasNot("demo", "t1", ErrUnavailable)
				if s.Lookup("demo") != nil {
					t.Error("the claim is there")
				}
				f.set(nil)
				time.Sleep(longestPause)
				synctest.Wait()
				if got := recordOf(f.Records); !reflect.DeepEqual(got, was) {
					t.Errorf("the record is %+v, want that of the released label %+v", got, was)
				}
				if c := s.has("demo", "t1"); c.Past == "" {
					t.Error("no change of owner")
				}
			})
		})
	}
}

func TestALabelWhoseReleaseFailsStaysClaimed(t *testing.T) {
	for name, fault := range map[string]fault{"it was not made": only("update", unmade), "it was made": only("update", madeAndFailed)} {
		t.Run(name, func(t *testing.T) {
			o := remembering(ninetyDays)
			f := &faulty{Records: o.Records}
			o.Records = f
			inScene(t, o, func(t *testing.T, s *scene) {
				c := s.has("demo", "t0")
				f.set(fault)
				if err := c.Delete(); !errors.Is(err, ErrUnavailable) {
					t.Errorf("delete: %v, want ErrUnavailable", err)
				}
				f.set(nil)
				time.Sleep(longestPause)
				s.inLine(f.Records)

				f.set(fault)
				_ = c.Delete()
				f.set(func(_ context.Context, _, _ string, do func() error) error {
					time.Sleep(2 * shortestPause) // so that the claim is mended at once when it has ended
					return do()
				})
				s.release(c)
				time.Sleep(longestPause)
				if r := recordOf(f.Records); r.Released.IsZero() {
					t.Errorf("the record is %+v, want that of a released label", r)
				}
			})
		})
	}
}

// aboutToForget calls f with a claim at whose release the released label "short" is forgotten.
func aboutToForget(t *testing.T, f func(*testing.T, *scene, *faulty, *Claim)) {
	t.Helper()
	o := remembering(ninetyDays)
	o.Limits.Released = 1
	records := &faulty{Records: o.Records}
	o.Records = records
	inScene(t, o, func(t *testing.T, s *scene) {
		s.release(s.has("short", "t0"))
		c := s.has("long", "t0")
		time.Sleep(time.Minute)
		f(t, s, records, c)
	})
}

// A label is claimed while it is about to be forgotten, which waits for the disk.
func TestALabelThatIsBeingForgottenIsClaimedAfterwards(t *testing.T) {
	aboutToForget(t, func(t *testing.T, s *scene, f *faulty, c *Claim) {
		reached, release := make(chan struct{}), make(chan struct{})
		f.set(func(_ context.Context, op, label string, do func() error) error {
			if op == "delete" {
				close(reached)
				<-release
			}
			return do()
		})
		deleted, opened := make(chan error), make(chan error)
		go func() { deleted <- c.Delete() }()
		<-reached
		go func() {
			_, err := s.Open(netip.Addr{}, "short", "t1", Settings{})
			opened <- err
		}()
		synctest.Wait()
		select {
		case err := <-opened:
			t.Errorf("opened meanwhile: %v", err)
		default:
		}
		close(release)
		if err := errors.Join(<-deleted, <-opened); err != nil {
			t.Error(err)
		}
		if got := s.Lookup("short"); got == nil || got.Past != "" {
			t.Errorf("%+v, want a claim of a label of which nothing is known", got)
		}
	})
}

// A label that is about to be forgotten is claimed, which waits for the disk.
func TestALabelThatIsBeingClaimedIsNotForgotten(t *testing.T) {
	aboutToForget(t, func(t *testing.T, s *scene, f *faulty, c *Claim) {
		reached, release := make(chan struct{}), make(chan struct{})
		claiming := true
		f.set(func(_ context.Context, op, label string, do func() error) error {
			switch {
			case label == "short" && op == "update":
				close(reached)
				<-release
				claiming = false
			case label == "short" && op != "create" && claiming:
				select {
				case <-reached:
					t.Errorf("%s of the label meanwhile", op)
				default:
				}
			}
			return do()
		})
		opened := make(chan error)
		go func() {
			_, err := s.Open(netip.Addr{}, "short", "t0", Settings{})
			opened <- err
		}()
		<-reached
		s.release(c)
		close(release)
		if err := <-opened; err != nil || s.Lookup("short") == nil {
			t.Errorf("open: %v, want the claim", err)
		}
	})
}
