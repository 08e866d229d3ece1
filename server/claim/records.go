package claim

import (
	"context"
	"errors"
	"reflect"
	"time"
)

// Records stores who owns which label. Every change names the revision that it replaces, and a
// label never has the same revision twice.
//
// Any other error than those below leaves open whether the change was made; the registry calls Get
// before it changes the label again. A method returns soon after its context ends. A change that it
// leaves unfinished then either never happens, or has happened before Get returns for that label.
// Methods are called concurrently for different labels, never for the same one.
type Records interface {
	// Get fails with [ErrNoRecord] if the label has no record, and with [ErrMoved] if the last change
	// through these Records left open whether it was made and the record is by now that of others.
	Get(ctx context.Context, label string) (Record, uint64, error)
	// Create fails with [ErrExists] if the label has a record. The revision is never 0.
	Create(ctx context.Context, r Record) (revision uint64, err error)
	// Update fails with [ErrMoved] if the record of the label has another revision or is gone.
	Update(ctx context.Context, r Record, revision uint64) (uint64, error)
	// Delete fails with [ErrMoved] as Update does.
	Delete(ctx context.Context, label string, revision uint64) error
}

// The errors of [Records].
var (
	ErrNoRecord = errors.New("claim: no record of the label")
	ErrExists   = errors.New("claim: the label has a record")
	ErrMoved    = errors.New("claim: the record of the label is another")
)

// Record is what outlives the process.
type Record struct {
	Label string
	Token TokenHash
	Terms
	// Unpolled says that the claim was never polled.
	Unpolled bool
	History
}

// History is what is known of the owners of a label. It is empty if the registry remembers no
// released labels.
type History struct {
	// Past names the last change of owner. No two changes have the same name. Empty means that no
	// other owner is known.
	Past string
	// Minted says that the registry chose the label.
	Minted bool
	// Begun is when the owner got the label, later by the times in which they did not claim it.
	Begun time.Time
	// Released is when the owner released the label. Zero means that it is claimed.
	Released time.Time
	// Until is when others may claim a released label. Zero means at once.
	Until time.Time
}

// Kept is a record at a revision.
type Kept struct {
	Record
	Revision uint64
}

// entry is what a claim knows of its record. Only the holder of the turn uses the other members,
// and waits for Records with no lock held.
type entry struct {
	records  Records
	patience time.Duration // how long Records may take
	turn     chan struct{} // of capacity 1

	label    string
	revision uint64  // of the record; 0 if there is none
	record   Record  // at that revision
	doubted  bool    // the last change may have been made
	asked    *Record // if doubted, the record of that change; nil if it deleted the record
}

// enter takes the turn. It fails with [ErrUnavailable] if others hold it for too long.
func (e *entry) enter() error {
	select {
	case e.turn <- struct{}{}:
		return nil
	default:
	}
	timer := time.NewTimer(e.patience)
	defer timer.Stop()
	select {
	case e.turn <- struct{}{}:
		return nil
	case <-timer.C:
		return ErrUnavailable
	}
}

// await waits until done is closed, if it is not nil. It fails with [ErrUnavailable] if that takes
// too long. It needs no turn.
func (e *entry) await(done <-chan struct{}) error {
	if done == nil {
		return nil
	}
	timer := time.NewTimer(e.patience)
	defer timer.Stop()
	select {
	case <-done:
		return nil
	case <-timer.C:
		return ErrUnavailable
	}
}

// leave gives the turn back.
func (e *entry) leave() { <-e.turn }

// put stores want as the record, or deletes the record if want is nil. It fails with [ErrExists] or
// [ErrMoved] if the label has a record that is not the claim's, and otherwise with [ErrUnavailable]
// joined to the cause. The caller has the turn.
func (e *entry) put(want *Record) error {
	ctx, cancel := context.WithTimeout(context.Background(), e.patience)
	defer cancel()
	if err := e.look(ctx); err != nil {
		return err
	}
	var revision uint64 // 0 if the record is deleted
	var err error
	switch {
	case want == nil && e.revision == 0, want != nil && e.revision != 0 && reflect.DeepEqual(*want, e.record):
		return nil
	case want == nil:
		err = e.records.Delete(ctx, e.label, e.revision)
	case e.revision == 0:
		revision, err = e.records.Create(ctx, *want)
	default:
		revision, err = e.records.Update(ctx, *want, e.revision)
	}
	switch {
	case err == nil:
		e.settle(want, revision)
		return nil
	case errors.Is(err, ErrExists), errors.Is(err, ErrMoved):
		return err
	}
	e.doubted, e.asked = true, want
	return errors.Join(ErrUnavailable, err)
}

// look finds out whether a change in doubt was made.
func (e *entry) look(ctx context.Context) error {
	if !e.doubted {
		return nil
	}
	record, revision, err := e.records.Get(ctx, e.label)
	gone, moved := errors.Is(err, ErrNoRecord), errors.Is(err, ErrMoved)
	switch {
	case err != nil && !gone && !moved:
		return errors.Join(ErrUnavailable, err)
	case gone && (e.revision == 0 || e.asked == nil):
		e.settle(nil, 0)
	case err == nil && e.revision != 0 && revision == e.revision:
		e.doubted, e.asked = false, nil
	case err == nil && e.asked != nil && reflect.DeepEqual(record, *e.asked):
		e.settle(&record, revision)
	case e.revision == 0:
		return ErrExists
	default:
		return ErrMoved
	}
	return nil
}

// settle notes the current record, or that there is none.
func (e *entry) settle(record *Record, revision uint64) {
	e.revision, e.record, e.doubted, e.asked = revision, Record{}, false, nil
	if record != nil {
		e.record = *record
	}
}
