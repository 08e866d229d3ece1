package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"reversehttp/server/claim"
	"reversehttp/server/terms"
)

// record is the JSON of a record in the bucket.
type record struct {
	terms.Record
	who
}

// decode reads the record of a label.
func decode(label string, value []byte, revision uint64) (claim.Record, Home, error) {
	var r record
	err := json.Unmarshal(value, &r)
	var c claim.Record
	if err == nil {
		c, err = r.Claim(label)
	}
	if err != nil {
		return claim.Record{}, Home{}, fmt.Errorf("engine: the record of %s cannot be read: %w", label, err)
	}
	return c, Home{r.Node, r.Run, revision}, nil
}

// changes implements [claim.Records]: it changes records one at a time for each label, and finishes
// changes whose answer did not come.
//
// Such a change may be made long after its caller has given up, as when a NATS server that was
// paused reads what it was sent before. So the change is repeated, with the revision that it named,
// before the label is read or changed again. After that it has either been made, or can no longer be
// made, because the label has had another revision since.
type changes struct {
	bucket bucket
	who    who

	mu     sync.Mutex
	labels map[string]*labelState // of those with a caller, or with a change in doubt
}

// labelState is what is under way for a label.
type labelState struct {
	turn    chan struct{} // of capacity 1
	callers int           // guarded by changes.mu
	doubt   *doubt        // of the one with the turn
}

// doubt is a change that may have been made.
type doubt struct {
	value    []byte // nil if the record is deleted
	revision uint64 // that it replaces
}

func newChanges(b bucket, node, run string) *changes {
	return &changes{bucket: b, who: who{node, run}, labels: make(map[string]*labelState)}
}

// recordError returns the error of [claim.Records] for one of a bucket.
func recordError(err error) error {
	if errors.Is(err, errNone) {
		return claim.ErrNoRecord
	}
	return err
}

// Get implements [claim.Records].
func (c *changes) Get(ctx context.Context, label string) (claim.Record, uint64, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	s, err := c.enter(ctx, label)
	if err != nil {
		return claim.Record{}, 0, err
	}
	defer c.leave(label, s)
	doubted := s.doubt != nil
	if err := c.settle(ctx, label, s); err != nil {
		return claim.Record{}, 0, err
	}
	value, revision, err := c.bucket.get(ctx, label)
	if err != nil {
		return claim.Record{}, 0, recordError(err)
	}
	r, h, err := decode(label, value, revision)
	if err == nil && doubted && (who{h.Node, h.Run}) != c.who {
		return claim.Record{}, 0, claim.ErrMoved // though it may equal the one that this node asked for
	}
	return r, revision, err
}

// Create implements [claim.Records].
func (c *changes) Create(ctx context.Context, r claim.Record) (uint64, error) {
	revision, err := c.write(ctx, r, 0)
	if errors.Is(err, errOther) {
		return 0, claim.ErrExists
	}
	return revision, err
}

// Update implements [claim.Records].
func (c *changes) Update(ctx context.Context, r claim.Record, revision uint64) (uint64, error) {
	revision, err := c.write(ctx, r, revision)
	if errors.Is(err, errOther) {
		return 0, claim.ErrMoved
	}
	return revision, err
}

// Delete implements [claim.Records].
func (c *changes) Delete(ctx context.Context, label string, revision uint64) error {
	_, err := c.change(ctx, label, doubt{nil, revision})
	if errors.Is(err, errOther) {
		return claim.ErrMoved
	}
	return err
}

// write writes a record whose home is this node.
func (c *changes) write(ctx context.Context, r claim.Record, revision uint64) (uint64, error) {
	stored, err := terms.RecordOf(r)
	if err != nil {
		return 0, err
	}
	value, err := json.Marshal(record{stored, c.who})
	if err != nil {
		return 0, err
	}
	return c.change(ctx, r.Label, doubt{value, revision})
}

// change makes a change.
func (c *changes) change(ctx context.Context, label string, d doubt) (revision uint64, err error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	s, err := c.enter(ctx, label)
	if err != nil {
		return 0, err
	}
	defer c.leave(label, s)
	if err := c.settle(ctx, label, s); err != nil {
		return 0, err
	}
	s.doubt = &d
	revision, err = c.bucket.put(ctx, label, d.value, d.revision)
	if made(err) {
		s.doubt = nil
	}
	return revision, err
}

// made reports whether the result of a change is known.
func made(err error) bool {
	_, not := errors.AsType[unmade](err)
	return err == nil || not || errors.Is(err, errOther)
}

// settle repeats a change in doubt. The caller has the turn.
func (c *changes) settle(ctx context.Context, label string, s *labelState) error {
	if s.doubt == nil {
		return nil
	}
	_, err := c.bucket.put(ctx, label, s.doubt.value, s.doubt.revision)
	if err != nil && !errors.Is(err, errOther) {
		return fmt.Errorf("engine: a change before is still in doubt: %w", err)
	}
	s.doubt = nil
	return nil
}

// enter waits for the turn of a label.
func (c *changes) enter(ctx context.Context, label string) (*labelState, error) {
	c.mu.Lock()
	s := c.labels[label]
	if s == nil {
		s = &labelState{turn: make(chan struct{}, 1)}
		c.labels[label] = s
	}
	s.callers++
	c.mu.Unlock()
	select {
	case s.turn <- struct{}{}:
		return s, nil
	case <-ctx.Done():
		c.mu.Lock()
		defer c.mu.Unlock()
		s.callers--
		c.forget(label, s)
		return nil, ctx.Err()
	}
}

// leave gives the turn of a label back.
func (c *changes) leave(label string, s *labelState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s.callers--
	c.forget(label, s)
	<-s.turn
}

// forget forgets a label with nothing under way. The caller holds c.mu.
func (c *changes) forget(label string, s *labelState) {
	if s.callers == 0 && s.doubt == nil {
		delete(c.labels, label)
	}
}
