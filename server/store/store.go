// Package store keeps claims on disk, so that labels keep their owners across restarts. A store is
// one file in a directory: a bbolt database with a record for each label.
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

// Store is a directory with stored claims. It implements [claim.Records]; its methods return once a
// change is on disk.
type Store struct {
	log  *slog.Logger
	db   *bbolt.DB
	path string
	file os.FileInfo // of the path when it was opened

	writing sync.WaitGroup           // changes in progress, also those whose caller has given up
	mu      sync.Mutex               // guards busy
	busy    map[string]chan struct{} // label → closed when the change in progress is over
	forgot  time.Time                // when old usage was last deleted; guarded by mu
}

// bucket holds the records by label.
var bucket = []byte("claims")

// patience is how long to wait for another process to release the file.
const patience = 2 * time.Second

// gathering is how long a change waits for others that can share its disk sync.
const gathering = time.Millisecond / 2

// firstRevision is the revision of records that were written without one.
const firstRevision = 1

// Open opens the store of a directory, which it creates if it is missing. Its error says what to
// do.
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

// openFile opens the file. It returns an error if another process holds it for longer than
// patience.
func openFile(path string, readOnly bool) (db *bbolt.DB, err error) {
	err = guarded(func() (err error) {
		db, err = bbolt.Open(path, privateFile, &bbolt.Options{Timeout: patience, ReadOnly: readOnly})
		return err
	})
	return db, err
}

// guarded calls read, and turns faults and panics into errors: bbolt reads beyond the end of a
// truncated file, and panics on a damaged one.
func guarded(read func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if fault := recover(); fault != nil {
			err = fmt.Errorf("it is damaged: %v", fault)
		}
	}()
	return read()
}

// errReplaced is the error of all changes after the file was replaced.
var errReplaced = errors.New("claims.db was replaced or removed while the gateway runs; start the gateway again")

// isThere returns an error if the open file is no longer the one that the next start will read.
func (s *Store) isThere() error {
	if now, err := os.Stat(s.path); err != nil || !os.SameFile(now, s.file) {
		s.log.Error("cannot store claims", "error", errReplaced)
		return errReplaced
	}
	return nil
}

// record is a claim or a released label in the file.
type record struct {
	terms.Record
	Revision uint64 `json:"revision"`
}

// read decodes the record of a label. It returns [claim.ErrNoRecord] if there is none, or none that
// can be read.
func read(label, value []byte) (claim.Kept, error) {
	var r record
	if value == nil || json.Unmarshal(value, &r) != nil {
		return claim.Kept{}, claim.ErrNoRecord
	}
	c, err := r.Claim(string(label))
	if err != nil {
		return claim.Kept{}, claim.ErrNoRecord
	}
	return claim.Kept{Record: c, Revision: max(r.Revision, firstRevision)}, nil
}

// Records returns all stored claims and released labels.
func (s *Store) Records() (kept []claim.Kept, err error) {
	err = s.db.View(func(tx *bbolt.Tx) error {
		return tx.Bucket(bucket).ForEach(func(label, value []byte) error {
			k, err := read(label, value)
			if err != nil {
				s.log.Warn("skipped an unreadable claim in the store", "label", string(label))
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

// Create implements [claim.Records]. It replaces a record that cannot be read.
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

// at returns [claim.ErrMoved] unless the record of a label has the given revision.
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
	stored, err := terms.RecordOf(c)
	if err != nil {
		return 0, err
	}
	value, err := json.Marshal(record{stored, revision})
	if err != nil {
		return 0, err
	}
	return revision, b.Put([]byte(c.Label), value)
}

// change makes a change to one label and returns once it is on disk. Changes to several labels
// share a transaction. If ctx ends first, the change may still be made; until it is over, other
// changes to its label wait.
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
		return 0, err // the change may be in progress
	}
	return revision, nil
}

// batch makes a change in a transaction shared with others, and returns once it is on disk. It may
// call edit more than once. If ctx ends first, the change may still be made. It calls over once the
// outcome is settled.
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

// alone waits until no change to a label is in progress, and makes other changes wait until release
// is called.
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

// wrapped says in an error that it comes from the store.
func wrapped(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("store: %w", err)
}

// Close closes the store after the changes in progress. Later changes return an error.
func (s *Store) Close() {
	_ = s.db.Close()
	s.writing.Wait()
}
