// Package store keeps who owns which label beyond the process: one file in a
// directory, a bbolt database with a record for each label.
package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"time"

	"go.etcd.io/bbolt"
	bbolterrors "go.etcd.io/bbolt/errors"

	"reversehttp/server/claim"
	"reversehttp/server/terms"
)

// Store is a directory with claims in it. It is [claim.Records]: what it took is on the disk.
type Store struct {
	log  *slog.Logger
	db   *bbolt.DB
	path string
	file os.FileInfo // of the path, when it was opened

	writing sync.WaitGroup           // the changes that are under way, also those that nobody waits for any more
	mu      sync.Mutex               // guards busy
	busy    map[string]chan struct{} // label → closed when the change that is under way is over
	forgot  time.Time                // when usage that is too old was forgotten last; mu guards it
}

// bucket holds the records by label.
var bucket = []byte("claims")

// patience is how long another process may take to let the file go.
const patience = 2 * time.Second

// gathering is how long a change waits for others to share its sync of the disk.
const gathering = time.Millisecond / 2

// firstRevision is that of records that were written without one.
const firstRevision = 1

// Open opens the store of a directory, which it makes where it is missing. Its
// error says what to do.
func Open(dir string, log *slog.Logger) (*Store, error) {
	if err := makeDirectory(dir); err != nil {
		return nil, err
	}
	path := filepath.Join(dir, name)
	db, err := openFile(path, false)
	switch {
	case errors.Is(err, bbolterrors.ErrTimeout):
		return nil, inUse(dir)
	case errors.Is(err, os.ErrPermission), errors.Is(err, os.ErrNotExist):
		return nil, unwritable(dir, err)
	case err != nil:
		return nil, unreadable(dir, err)
	}
	if err := guarded(func() error { return migrate(db) }); err != nil {
		_ = db.Close()
		return nil, unreadable(dir, err)
	}
	closeToOthers(dir, log)
	db.MaxBatchDelay = gathering
	file, err := os.Stat(path)
	if err != nil {
		_ = db.Close()
		return nil, unwritable(dir, err)
	}
	return &Store{log: log, db: db, path: path, file: file, busy: make(map[string]chan struct{})}, nil
}

// openFile opens the file, or fails where another process has it for too long.
func openFile(path string, readOnly bool) (db *bbolt.DB, err error) {
	err = guarded(func() (err error) {
		db, err = bbolt.Open(path, privateFile, &bbolt.Options{Timeout: patience, ReadOnly: readOnly})
		return err
	})
	return db, err
}

// guarded returns what read does. bbolt reads a file that was cut short beyond its end, and panics where one is damaged.
func guarded(read func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if fault := recover(); fault != nil {
			err = fmt.Errorf("it is damaged: %v", fault)
		}
	}()
	return read()
}

// errReplaced is why nothing is written any more.
var errReplaced = errors.New("claims.db was replaced or removed while the gateway runs; start the gateway again")

// isThere returns an error where the file that is written is not the one that the next start reads.
func (s *Store) isThere() error {
	if now, err := os.Stat(s.path); err != nil || !os.SameFile(now, s.file) {
		s.log.Error("claims cannot be kept", "error", errReplaced)
		return errReplaced
	}
	return nil
}

// record is a claim in the file.
type record struct {
	Token     []byte `json:"token"` // SHA-256
	LeaseMs   int64  `json:"leaseMs"`
	TimeoutMs int64  `json:"timeoutMs"`
	Redeliver string `json:"redeliver"`
	Unpolled  bool   `json:"unpolled,omitempty"`
	Revision  uint64 `json:"revision"`
	// What is known of the owners of the label: times in milliseconds since 1970, 0 for none.
	Past       string `json:"past,omitempty"`
	Minted     bool   `json:"minted,omitempty"`
	BegunMs    int64  `json:"begunMs,omitempty"`
	ReleasedMs int64  `json:"releasedMs,omitempty"`
	UntilMs    int64  `json:"untilMs,omitempty"`
	// Terms are those that the core does not act upon.
	Terms map[string]json.RawMessage `json:"terms,omitempty"`
}

// read returns the record of a label. It fails with [claim.ErrNoRecord] where there is none, or
// none that can be read.
func read(label, value []byte) (claim.Kept, error) {
	var r record
	if value == nil || json.Unmarshal(value, &r) != nil || len(r.Token) != len(claim.TokenHash{}) {
		return claim.Kept{}, claim.ErrNoRecord
	}
	others, err := terms.Kept(r.Terms)
	if err != nil { // the claim would be without what its owner relies on
		return claim.Kept{}, claim.ErrNoRecord
	}
	kept := claim.Terms{
		Lease: time.Duration(r.LeaseMs) * time.Millisecond, Timeout: time.Duration(r.TimeoutMs) * time.Millisecond,
		Redeliver: claim.Redeliver(r.Redeliver), Others: others,
	}
	history := claim.History{Past: r.Past, Minted: r.Minted, Begun: moment(r.BegunMs), Released: moment(r.ReleasedMs), Until: moment(r.UntilMs)}
	return claim.Kept{
		Record:   claim.Record{Label: string(label), Token: claim.TokenHash(r.Token), Terms: kept, Unpolled: r.Unpolled, History: history},
		Revision: max(r.Revision, firstRevision),
	}, nil
}

// moment returns a time of a record, and millis its milliseconds.
func moment(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}

func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// Records returns every claim that is kept, and every released label.
func (s *Store) Records() (kept []claim.Kept, err error) {
	err = s.db.View(func(tx *bbolt.Tx) error {
		return tx.Bucket(bucket).ForEach(func(label, value []byte) error {
			k, err := read(label, value)
			if err != nil {
				s.log.Warn("claim in the store is unreadable, left out", "label", string(label))
				return nil
			}
			kept = append(kept, k)
			return nil
		})
	})
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	return kept, nil
}

// Get implements [claim.Records].
func (s *Store) Get(ctx context.Context, label string) (claim.Record, uint64, error) {
	release, err := s.alone(ctx, label)
	if err != nil {
		return claim.Record{}, 0, err
	}
	defer release()
	var k claim.Kept
	err = s.db.View(func(tx *bbolt.Tx) (err error) {
		k, err = read([]byte(label), tx.Bucket(bucket).Get([]byte(label)))
		return err
	})
	return k.Record, k.Revision, wrapped(err)
}

// Create implements [claim.Records]. A record that cannot be read is replaced.
func (s *Store) Create(ctx context.Context, c claim.Record) (uint64, error) {
	return s.change(ctx, c.Label, func(b *bbolt.Bucket) (uint64, error) {
		if _, err := read([]byte(c.Label), b.Get([]byte(c.Label))); err == nil {
			return 0, claim.ErrExists
		}
		return put(b, c)
	})
}

// Update implements [claim.Records].
func (s *Store) Update(ctx context.Context, c claim.Record, revision uint64) (uint64, error) {
	return s.change(ctx, c.Label, func(b *bbolt.Bucket) (uint64, error) {
		if err := at(b, c.Label, revision); err != nil {
			return 0, err
		}
		return put(b, c)
	})
}

// Delete implements [claim.Records].
func (s *Store) Delete(ctx context.Context, label string, revision uint64) error {
	_, err := s.change(ctx, label, func(b *bbolt.Bucket) (uint64, error) {
		if err := at(b, label, revision); err != nil {
			return 0, err
		}
		return 0, b.Delete([]byte(label))
	})
	return err
}

// at fails with [claim.ErrMoved] unless the record of a label has a revision.
func at(b *bbolt.Bucket, label string, revision uint64) error {
	if k, err := read([]byte(label), b.Get([]byte(label))); err != nil || k.Revision != revision {
		return claim.ErrMoved
	}
	return nil
}

func put(b *bbolt.Bucket, c claim.Record) (uint64, error) {
	revision, err := b.NextSequence()
	if err != nil {
		return 0, err
	}
	others, err := terms.Keep(c.Others)
	if err != nil {
		return 0, err
	}
	value, err := json.Marshal(record{
		Token: c.Token[:], LeaseMs: c.Lease.Milliseconds(), TimeoutMs: c.Timeout.Milliseconds(), Redeliver: string(c.Redeliver), Unpolled: c.Unpolled, Revision: revision,
		Past: c.Past, Minted: c.Minted, BegunMs: millis(c.Begun), ReleasedMs: millis(c.Released), UntilMs: millis(c.Until),
		Terms: others,
	})
	if err != nil {
		return 0, err
	}
	return revision, b.Put([]byte(c.Label), value)
}

// change makes a change of one label and returns once the disk has it. Changes of several labels
// share a transaction. Where ctx ends first the change may still be made; until it is over, others
// of its label wait.
func (s *Store) change(ctx context.Context, label string, edit func(*bbolt.Bucket) (uint64, error)) (uint64, error) {
	if err := s.isThere(); err != nil {
		return 0, wrapped(err)
	}
	release, err := s.alone(ctx, label)
	if err != nil {
		return 0, err
	}
	var revision uint64
	err = s.batch(ctx, func(tx *bbolt.Tx) (err error) {
		revision, err = edit(tx.Bucket(bucket))
		return err
	}, release)
	if err != nil {
		return 0, err // the change may be under way
	}
	return revision, nil
}

// batch makes a change in a transaction that others share, and returns once the disk has it. edit may be called again. Where ctx ends
// first the change may still be made; over is called once it was, or was not.
func (s *Store) batch(ctx context.Context, edit func(*bbolt.Tx) error, over func()) error {
	done := make(chan error, 1)
	s.writing.Go(func() {
		defer over()
		done <- s.db.Batch(edit)
	})
	select {
	case err := <-done:
		return wrapped(err)
	case <-ctx.Done():
		return wrapped(ctx.Err())
	}
}

// alone waits until no change of a label is under way, and keeps others waiting until release.
func (s *Store) alone(ctx context.Context, label string) (release func(), err error) {
	mine := make(chan struct{})
	for {
		s.mu.Lock()
		other, taken := s.busy[label]
		if !taken {
			s.busy[label] = mine
		}
		s.mu.Unlock()
		if !taken {
			return func() {
				s.mu.Lock()
				defer s.mu.Unlock()
				delete(s.busy, label)
				close(mine)
			}, nil
		}
		select {
		case <-other:
		case <-ctx.Done():
			return nil, wrapped(ctx.Err())
		}
	}
}

// wrapped adds where an error comes from.
func wrapped(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("store: %w", err)
}

// Close ends the store, after the changes that the disk is writing. Later ones fail.
func (s *Store) Close() {
	_ = s.db.Close()
	s.writing.Wait()
}
