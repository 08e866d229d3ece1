package engine

import (
	"context"
	"errors"
	"time"
)

// bucket is a set of values by key. Each change gives its key a revision that is greater than all
// before it.
type bucket interface {
	// get returns the value of a key and its revision, from where changes are decided. It fails
	// with errNone if the key has none.
	get(ctx context.Context, key string) (value []byte, revision uint64, err error)
	// put replaces the value of a key that has this revision, and returns the new one. A nil value
	// deletes the key. Revision 0 is that of a key without a value, and anyRevision whichever it
	// has. It fails with errOther if the key has another revision, and with an error that is an
	// unmade if nothing was changed for another reason. Any other error leaves that open.
	put(ctx context.Context, key string, value []byte, revision uint64) (uint64, error)
	// watch gives the sink everything in the bucket, and then what changes, until ctx ends or the
	// changes can no longer be followed.
	watch(ctx context.Context, s sink) error
}

// sink takes what a bucket holds, one call at a time.
type sink interface {
	// begin says that everything follows. lost says that the bucket has lost changes.
	begin(lost bool)
	// take takes a value, or the end of one. Those of a key come in the order of their revisions.
	take(e event)
	// whole says that everything that was there at begin has come, so that what did not is gone.
	whole()
}

// event is the value of a key at a revision.
type event struct {
	key      string
	value    []byte // nil if it was deleted
	revision uint64
	at       time.Time // by the clock of the engine, to be compared only with others of it
}

// anyRevision is no revision.
const anyRevision = ^uint64(0)

// The errors of buckets.
var (
	errNone  = errors.New("engine: no value")
	errOther = errors.New("engine: another revision")
)

// unmade is the error of a change that was certainly not made.
type unmade struct{ error }

func (u unmade) Unwrap() error { return u.error }
