package claim

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestAClaimThatCannotBeStoredIsNotMade(t *testing.T) {
	for name, fault := range map[string]fault{
		"it was not made":         only("create", unmade),
		"it was made":             only("create", madeAndFailed),
		"nobody answered":         only("create", hangs),
		"nobody knows what it is": only("create get", hangs),
	} {
		t.Run(name, func(t *testing.T) {
			inFaulty(t, func(t *testing.T, s *scene, f *faulty) {
				f.set(fault)
				if err := s.open("t0", Settings{}); !errors.Is(err, ErrUnavailable) {
					t.Fatalf("open: %v, want ErrUnavailable", err)
				}
				if s.Lookup("demo") != nil {
					t.Error("the claim is there")
				}
				f.set(nil)
				time.Sleep(longestPause)
				s.inLine(f.Records)
				if err := s.open("t1", Settings{}); err != nil {
					t.Errorf("another's claim afterwards: %v", err)
				}
			})
		})
	}
}

func TestNobodyGetsALabelWhoseRecordIsInDoubt(t *testing.T) {
	inFaulty(t, func(t *testing.T, s *scene, f *faulty) {
		f.set(func(ctx context.Context, op, label string, do func() error) error {
			if op == "create" {
				return madeAndFailed(ctx, op, label, do)
			}
			return errDisk
		})
		for _, token := range []string{"t0", "t1", "t0"} {
			if err := s.open(token, Settings{}); !errors.Is(err, ErrUnavailable) {
				t.Errorf("open: %v, want ErrUnavailable", err)
			}
		}
		if got := s.Stats().Claims; got != 1 {
			t.Errorf("%d places are taken, want 1", got)
		}
	})
}

func TestAClaimWaitsOnlyForItsOwnRecord(t *testing.T) {
	inFaulty(t, func(t *testing.T, s *scene, f *faulty) {
		one := s.session()
		s.take(one, nil)
		synctest.Wait()
		blocked := make(chan struct{})
		f.set(func(ctx context.Context, op, label string, do func() error) error {
			if label != "other" {
				<-blocked
			}
			return do()
		})
		errs := make(chan error, 3)
		go func() {
			_, err := s.Open(netip.Addr{}, "new", "t0", Settings{})
			errs <- err
		}()
		go func() { errs <- s.claim.Change(Settings{Token: new("t1")}) }()
		synctest.Wait()

		// A claim whose change waits continues unchanged.
		v := s.visit("GET")
		m, _ := s.one(one, new(cursorOf(one.id, 0)))
		s.answer(one, m.Exchange, 200, Accepted)
		v.answered(200)
		if !s.claim.Owns("t0") || s.claim.Owns("t1") {
			t.Error("the token changed before the record did")
		}
		if err := s.open("t0", Settings{}); err != nil {
			t.Errorf("another session meanwhile: %v", err)
		}
		if s.Lookup("new") != nil {
			t.Error("a claim is there before its record")
		}
		// Everything else continues too.
		o, err := s.Open(netip.Addr{}, "other", "t0", Settings{})
		if err == nil {
			err = o.Session.Claim().Change(Settings{Lease: new(time.Second)})
		}
		if err == nil {
			err = o.Session.Claim().Delete()
		}
		if err != nil {
			t.Errorf("another claim meanwhile: %v", err)
		}
		select {
		case err := <-errs:
			t.Errorf("a change ended before its record: %v", err)
		default:
		}
		close(blocked)
		for range 2 {
			if err := <-errs; err != nil {
				t.Errorf("a change that waited for its record: %v", err)
			}
		}
		if s.Lookup("new") == nil || !s.claim.Owns("t1") {
			t.Error("what was kept was not done")
		}
	})
}

func TestOfTwoConcurrentClaimsOfALabelOneWins(t *testing.T) {
	for name, c := range map[string]struct {
		fails bool
		wins  string
		loses error
	}{
		"the first is kept":     {false, "t0", ErrLabelTaken},
		"the first is not kept": {true, "t1", ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			inFaulty(t, func(t *testing.T, s *scene, f *faulty) {
				release := make(chan struct{})
				var once sync.Once
				f.set(func(_ context.Context, op, _ string, do func() error) (err error) {
					if op == "create" {
						once.Do(func() {
							<-release
							if c.fails {
								err = errDisk
							}
						})
					}
					if err != nil {
						return err
					}
					return do()
				})
				errs := map[string]error{}
				var mu sync.Mutex
				var all sync.WaitGroup
				for _, token := range []string{"t0", "t1"} {
					all.Go(func() {
						err := s.open(token, Settings{})
						mu.Lock()
						defer mu.Unlock()
						errs[token] = err
					})
					synctest.Wait()
				}
				if len(errs) > 0 {
					t.Fatalf("answered before the record was there: %v", errs)
				}
				close(release)
				all.Wait()
				loser := map[string]string{"t0": "t1", "t1": "t0"}[c.wins]
				if errs[c.wins] != nil || !errors.Is(errs[loser], c.loses) {
					t.Errorf("%v, want that %s wins and the other has %v", errs, c.wins, c.loses)
				}
				if !s.Lookup("demo").Owns(c.wins) {
					t.Error("the claim is not the winner's")
				}
			})
		})
	}
}

func TestAChangeThatCannotBeStoredIsNotMade(t *testing.T) {
	for name, fault := range map[string]fault{
		"it was not made": unmade, "it was made": only("update delete", madeAndFailed), "nobody answered": hangs,
	} {
		for change, do := range map[string]func(s *scene) error{
			"change": func(s *scene) error { return s.claim.Change(Settings{Token: new("t1"), Lease: new(time.Second)}) },
			"open":   func(s *scene) error { return s.open("t0", Settings{Timeout: new(time.Second)}) },
			"delete": func(s *scene) error { return s.claim.Delete() },
		} {
			t.Run(change+", "+name, func(t *testing.T) {
				inFaulty(t, func(t *testing.T, s *scene, f *faulty) {
					one := s.session(Settings{Lease: new(time.Hour)})
					s.take(one, nil)
					synctest.Wait()
					was, sessions := recordOf(f.Records), len(s.claim.State().Sessions)
					_, revision, _ := f.Records.Get(context.Background(), "demo")
					f.set(fault)
					if err := do(s); !errors.Is(err, ErrUnavailable) {
						t.Fatalf("%v, want ErrUnavailable", err)
					}
					if st := s.claim.State(); s.Lookup("demo") != s.claim || !s.claim.Owns("t0") || s.claim.Owns("t1") || st.Lease != time.Hour || st.Timeout != time.Minute {
						t.Errorf("the claim changed: %+v", st)
					}
					if got := len(s.claim.State().Sessions); got != sessions {
						t.Errorf("%d sessions, want %d", got, sessions)
					}
					f.set(nil)
					time.Sleep(longestPause)
					synctest.Wait()
					if got := recordOf(f.Records); !reflect.DeepEqual(got, was) {
						t.Errorf("the record is %+v, want %+v", got, was)
					}
					_, now, _ := f.Records.Get(context.Background(), "demo")
					if now != revision && !strings.Contains(name, "it was made") {
						t.Errorf("a record that nobody changed has revision %d, want %d", now, revision)
					}
					if err := do(s); err != nil {
						t.Errorf("once more: %v", err)
					}
				})
			})
		}
	}
}

func TestAFirstPollDoesNotWaitForItsRecord(t *testing.T) {
	inFaulty(t, func(t *testing.T, s *scene, f *faulty) {
		one := s.session(Settings{Lease: new(time.Hour)})
		f.set(hangs)
		v := s.visit("GET")
		m, _ := s.one(one, nil)
		s.answer(one, m.Exchange, 200, Accepted)
		v.answered(200)
		time.Sleep(time.Minute)
		if r := recordOf(f.Records); !r.Unpolled {
			t.Errorf("the record changed: %+v", r)
		}
		f.set(nil)
		time.Sleep(longestPause)
		synctest.Wait()
		if r := recordOf(f.Records); r.Unpolled {
			t.Errorf("the record says that nobody polled: %+v", r)
		}
	})
}

func TestALabelWithARecordIsTaken(t *testing.T) {
	f := &faulty{Records: NewMemoryRecords()}
	theirs := Record{Label: "demo", Token: HashToken("theirs")}
	if _, err := f.Create(context.Background(), theirs); err != nil {
		t.Fatal(err)
	}
	inScene(t, Options{Records: f}, func(t *testing.T, s *scene) {
		for range 2 {
			if err := s.open("t0", Settings{}); !errors.Is(err, ErrLabelTaken) {
				t.Errorf("open: %v, want ErrLabelTaken", err)
			}
		}
		f.set(only("create", unmade))
		if err := s.open("t0", Settings{}); !errors.Is(err, ErrUnavailable) {
			t.Errorf("open: %v, want ErrUnavailable", err)
		}
		synctest.Wait()
		if got := recordOf(f.Records); !reflect.DeepEqual(got, theirs) {
			t.Errorf("the record is %+v, want that it is left alone", got)
		}
		if got := s.Stats().Claims; got != 0 {
			t.Errorf("%d claims, want none", got)
		}
	})
}

func TestAClaimWhoseRecordBelongsToAnotherEndsAndLeavesTheRecord(t *testing.T) {
	for name, change := range map[string]func(s *scene) error{
		"change": func(s *scene) error { return s.claim.Change(Settings{Lease: new(time.Second)}) },
		"delete": func(s *scene) error { return s.claim.Delete() },
		"change in doubt": func(s *scene) error {
			f := s.options.Records.(*faulty)
			f.set(only("update", unmade))
			err := s.claim.Change(Settings{Lease: new(time.Second)})
			f.set(nil)
			if !errors.Is(err, ErrUnavailable) {
				return err
			}
			time.Sleep(longestPause)
			synctest.Wait()
			return s.claim.gone
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := &faulty{Records: NewMemoryRecords()}
			inScene(t, Options{Records: f}, func(t *testing.T, s *scene) {
				one := s.session(Settings{Lease: new(time.Hour)})
				s.take(one, nil)
				synctest.Wait()
				_, revision, _ := f.Get(context.Background(), "demo")
				theirs := Record{Label: "demo", Token: HashToken("theirs")}
				if _, err := f.Update(context.Background(), theirs, revision); err != nil {
					t.Fatal(err)
				}
				if err := change(s); !errors.Is(err, ErrNoClaim) && !errors.Is(err, ErrMoved) {
					t.Errorf("%v, want ErrNoClaim or ErrMoved", err)
				}
				if !s.gone() {
					t.Error("the claim lives on")
				}
				if got := recordOf(f.Records); !reflect.DeepEqual(got, theirs) {
					t.Errorf("the record is %+v, want that it is left alone", got)
				}
				if _, err := one.Poll(context.Background(), nil, 0, 1); !errors.Is(err, ErrMoved) {
					t.Errorf("a poll: %v, want ErrMoved", err)
				}
			})
		})
	}
}

// TestRecordsAndClaimsAgreeAfterFaults makes every operation fail in every way while several programs claim,
// change, poll and end a few labels.
func TestRecordsAndClaimsAgreeAfterFaults(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			inFaulty(t, func(t *testing.T, s *scene, f *faulty) {
				var mu sync.Mutex // guards chance
				chance := rand.New(rand.NewPCG(seed, 0))
				roll := func(n int) int {
					mu.Lock()
					defer mu.Unlock()
					return chance.IntN(n)
				}
				f.set(func(ctx context.Context, op, label string, do func() error) error {
					time.Sleep(time.Duration(roll(100)) * time.Millisecond)
					switch roll(6) {
					case 0:
						return unmade(ctx, op, label, do)
					case 1:
						return madeAndFailed(ctx, op, label, do)
					case 2:
						if roll(5) == 0 {
							return hangs(ctx, op, label, do)
						}
					}
					return do()
				})
				var all sync.WaitGroup
				for program := range 6 {
					all.Go(func() {
						for range 30 {
							time.Sleep(time.Duration(roll(5000)) * time.Millisecond)
							label, token := fmt.Sprint("demo-", roll(3)), fmt.Sprint("t", program%2)
							o, err := s.Open(netip.Addr{}, label, token, Settings{Lease: new([]time.Duration{time.Second, 5 * time.Second, time.Hour}[roll(3)])})
							switch {
							case err == nil:
							case errors.Is(err, ErrUnavailable), errors.Is(err, ErrLabelTaken):
								continue
							default:
								t.Errorf("open: %v", err)
								continue
							}
							switch roll(4) {
							case 0:
								_ = o.Session.Claim().Delete()
							case 1:
								_ = o.Session.Claim().Change(Settings{Timeout: new(time.Duration(1+roll(5)) * time.Second)})
							case 2:
								ctx, leave := context.WithTimeout(context.Background(), time.Second)
								_, _ = o.Session.Poll(ctx, nil, time.Second, 1)
								leave()
							}
						}
					})
				}
				all.Wait()
			})
		})
	}
}
