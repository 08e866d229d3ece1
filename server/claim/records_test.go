package claim

import (
	"context"
	"errors"
	"net/netip"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// faulty are Records that fail on demand.
type faulty struct {
	Records
	mu    sync.Mutex // guards fault
	fault fault
}

// fault is called in place of an operation on a label, and may perform it.
type fault func(ctx context.Context, op, label string, do func() error) error

var errDisk = errors.New("disk full")

// The faults: the operation is not performed, is performed but fails, or blocks until its context ends.
func unmade(context.Context, string, string, func() error) error { return errDisk }

func madeAndFailed(_ context.Context, _, _ string, do func() error) error {
	if err := do(); err != nil {
		return err
	}
	return errDisk
}

func hangs(ctx context.Context, _, _ string, _ func() error) error {
	<-ctx.Done()
	return ctx.Err()
}

// only limits a fault to some operations.
func only(ops string, f fault) fault {
	return func(ctx context.Context, op, label string, do func() error) error {
		if strings.Contains(ops, op) {
			return f(ctx, op, label, do)
		}
		return do()
	}
}

func (f *faulty) set(to fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fault = to
}

func (f *faulty) do(ctx context.Context, op, label string, do func() error) error {
	f.mu.Lock()
	stands := f.fault
	f.mu.Unlock()
	if stands == nil {
		return do()
	}
	return stands(ctx, op, label, do)
}

func (f *faulty) Get(ctx context.Context, label string) (r Record, revision uint64, err error) {
	err = f.do(ctx, "get", label, func() (err error) {
		r, revision, err = f.Records.Get(ctx, label)
		return err
	})
	return r, revision, err
}

func (f *faulty) Create(ctx context.Context, r Record) (revision uint64, err error) {
	err = f.do(ctx, "create", r.Label, func() (err error) {
		revision, err = f.Records.Create(ctx, r)
		return err
	})
	return revision, err
}

func (f *faulty) Update(ctx context.Context, r Record, at uint64) (revision uint64, err error) {
	err = f.do(ctx, "update", r.Label, func() (err error) {
		revision, err = f.Records.Update(ctx, r, at)
		return err
	})
	return revision, err
}

func (f *faulty) Delete(ctx context.Context, label string, at uint64) error {
	return f.do(ctx, "delete", label, func() error { return f.Records.Delete(ctx, label, at) })
}

// inFaulty runs a test with Records that may fail, and checks after it that each claim has its
// record and each record its claim.
func inFaulty(t *testing.T, test func(t *testing.T, s *scene, f *faulty)) {
	t.Helper()
	f := &faulty{Records: NewMemoryRecords()}
	inScene(t, Options{Records: f}, func(t *testing.T, s *scene) {
		test(t, s, f)
		f.set(nil)
		time.Sleep(2 * longestPause)
		synctest.Wait()
		s.inLine(f.Records)
	})
}

// inLine checks that each claim has its record and each record its claim.
func (s *scene) inLine(of Records) {
	s.t.Helper()
	m := of.(*memoryRecords)
	labels := s.Labels(1000)
	for _, label := range labels {
		c := s.Lookup(label)
		c.mu.Lock()
		want := c.record()
		c.mu.Unlock()
		if got, _, err := m.Get(context.Background(), label); err != nil || !reflect.DeepEqual(got, want) {
			s.t.Errorf("the record of %s is %+v %v, want %+v", label, got, err, want)
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.kept) != len(labels) {
		s.t.Errorf("%d records of %d claims", len(m.kept), len(labels))
	}
	if got := s.Stats().Claims; got != len(labels) {
		s.t.Errorf("%d places are taken by %d claims", got, len(labels))
	}
}

func (s *scene) open(token string, set Settings) error {
	_, err := s.Open(netip.Addr{}, "demo", token, set)
	return err
}
