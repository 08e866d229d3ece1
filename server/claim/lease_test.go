package claim

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// lines is a log that several goroutines write.
type lines struct {
	mu   sync.Mutex // guards text
	text strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) count(what string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), what)
}

func TestTheEndOfALeaseIsRetriedUntilItsRecordIsGone(t *testing.T) {
	for name, c := range map[string]struct {
		fault fault
		ends  bool // at the next request for the label
	}{
		"it was not made": {unmade, false}, "nobody answered": {hangs, false}, "it was made": {only("delete", madeAndFailed), true},
	} {
		t.Run(name, func(t *testing.T) {
			f, log := &faulty{Records: NewMemoryRecords()}, &lines{}
			inScene(t, Options{Records: f, Log: slog.New(slog.NewTextHandler(log, nil))}, func(t *testing.T, s *scene) {
				one := s.session(Settings{Lease: new(10 * time.Second)})
				f.set(c.fault)
				time.Sleep(10 * time.Second)
				synctest.Wait()
				if s.gone() && !c.ends {
					t.Fatal("the claim ended before its record")
				}
				time.Sleep(30 * time.Second)
				synctest.Wait()
				if s.gone() != c.ends {
					t.Fatalf("after 30 s the claim is gone: %v, want %v", s.gone(), c.ends)
				}
				if got := log.count("claim not kept"); got < 1 || !c.ends && got < 2 {
					t.Errorf("%d attempts are in the log", got)
				}
				f.set(nil)
				time.Sleep(longestPause)
				synctest.Wait()
				if !s.gone() {
					t.Error("the claim lives on after its lease")
				}
				if _, err := one.Poll(context.Background(), nil, 0, 1); !errors.Is(err, ErrLeaseEnded) {
					t.Errorf("a poll: %v, want ErrLeaseEnded", err)
				}
				s.inLine(f.Records)
			})
		})
	}
}

func TestTheEndOfALeaseWithoutASessionIsRetriedUntilItsRecordIsGone(t *testing.T) {
	f := &faulty{Records: NewMemoryRecords()}
	inScene(t, Options{Records: f}, func(t *testing.T, s *scene) {
		if err := s.session(Settings{Lease: new(10 * time.Second)}).End(nil, false); err != nil {
			t.Fatal(err)
		}
		f.set(unmade)
		time.Sleep(time.Minute)
		synctest.Wait()
		if s.gone() {
			t.Error("the claim ended before its record")
		}
		f.set(nil)
		time.Sleep(longestPause)
		synctest.Wait()
		if !s.gone() {
			t.Error("the claim lives on after its lease")
		}
		s.inLine(f.Records)
	})
}

func TestAProgramGetsAClaimBackWhoseEndWasNotStored(t *testing.T) {
	f := &faulty{Records: NewMemoryRecords()}
	inScene(t, Options{Records: f, Times: Times{Wait: time.Hour}}, func(t *testing.T, s *scene) {
		one := s.session(Settings{Lease: new(10 * time.Second)})
		f.set(unmade)
		time.Sleep(30 * time.Second)
		two := s.session()
		if two.Claim() != one.Claim() {
			t.Fatal("it is another claim")
		}
		p := park(two, nil, time.Hour)
		synctest.Wait()
		f.set(nil)
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if s.gone() || !p.open() {
			t.Error("the claim ended while it was polled")
		}
		s.inLine(f.Records)
		if err := s.claim.Delete(); err != nil {
			t.Error(err)
		}
	})
}

func TestARecordWhoseClaimFailedEndsAfterARestart(t *testing.T) {
	f := &faulty{Records: NewMemoryRecords()}
	f.set(only("create get", madeAndFailed))
	inScene(t, Options{Records: f}, func(t *testing.T, s *scene) { // the process ends before it checks the record
		if err := s.open("t0", Settings{Lease: new(time.Hour)}); !errors.Is(err, ErrUnavailable) {
			t.Fatalf("open: %v, want ErrUnavailable", err)
		}
	})
	f.set(nil)
	r, revision, err := f.Get(context.Background(), "demo")
	if err != nil {
		t.Fatalf("no record is left: %v", err)
	}
	inScene(t, Options{Records: f, Kept: []Kept{{r, revision}}}, func(t *testing.T, s *scene) {
		s.inLine(f.Records)
		if err := s.open("t0", Settings{}); err != nil {
			t.Errorf("its owner asks again: %v", err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if s.Lookup("demo") != nil {
			t.Error("it lives on though nobody polls")
		}
		s.inLine(f.Records)
	})
}
