// Package store keeps who owns which label beyond the process: one file in a
// directory, a bbolt database with a record for each label.
package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"
	bbolterrors "go.etcd.io/bbolt/errors"

	"reversehttp/server/claim"
)

// Store is a directory with claims in it. It is a [claim.Store].
type Store struct {
	log *slog.Logger
	db  *bbolt.DB
}

// bucket holds the records by label.
var bucket = []byte("claims")

// patience is how long another process may take to let the file go.
const patience = 2 * time.Second

// Open opens the store of a directory, which it makes where it is missing. Its
// error says what to do.
func Open(dir string, log *slog.Logger) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, unwritable(dir, err)
	}
	db, err := bbolt.Open(filepath.Join(dir, "claims.db"), 0o600, &bbolt.Options{Timeout: patience})
	switch {
	case errors.Is(err, bbolterrors.ErrTimeout):
		return nil, fmt.Errorf("--data=%s: another gateway uses it; stop that one, or choose another directory", dir)
	case errors.Is(err, os.ErrPermission), errors.Is(err, os.ErrNotExist):
		return nil, unwritable(dir, err)
	case err != nil:
		return nil, fmt.Errorf("--data=%s: claims.db cannot be opened: %w; move it away to begin anew", dir, err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucketIfNotExists(bucket)
		return err
	})
	if err != nil {
		_ = db.Close()
		return nil, unwritable(dir, err)
	}
	return &Store{log: log, db: db}, nil
}

func unwritable(dir string, err error) error {
	return fmt.Errorf("--data=%s: cannot be written to (%w); choose a directory that this user may write", dir, err)
}

// record is a claim in the file.
type record struct {
	Token     []byte `json:"token"` // SHA-256
	LeaseMs   int64  `json:"leaseMs"`
	TimeoutMs int64  `json:"timeoutMs"`
	Redeliver string `json:"redeliver"`
	Unpolled  bool   `json:"unpolled,omitempty"`
}

// Records gives every claim that is kept.
func (s *Store) Records() ([]claim.Record, error) {
	var out []claim.Record
	err := s.db.View(func(tx *bbolt.Tx) error {
		return tx.Bucket(bucket).ForEach(func(label, value []byte) error {
			var r record
			if err := json.Unmarshal(value, &r); err != nil || len(r.Token) != len(claim.TokenHash{}) {
				s.log.Warn("claim in the store is unreadable, left out", "label", string(label))
				return nil
			}
			out = append(out, claim.Record{
				Label: string(label), Token: claim.TokenHash(r.Token), Lease: time.Duration(r.LeaseMs) * time.Millisecond,
				Timeout: time.Duration(r.TimeoutMs) * time.Millisecond, Redeliver: claim.Redeliver(r.Redeliver), Unpolled: r.Unpolled,
			})
			return nil
		})
	})
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	return out, nil
}

// Save keeps a claim. It returns once the disk has it.
func (s *Store) Save(c claim.Record) {
	value, err := json.Marshal(record{c.Token[:], c.Lease.Milliseconds(), c.Timeout.Milliseconds(), string(c.Redeliver), c.Unpolled})
	if err == nil {
		err = s.db.Update(func(tx *bbolt.Tx) error { return tx.Bucket(bucket).Put([]byte(c.Label), value) })
	}
	if err != nil {
		s.log.Warn("claim not stored", "label", c.Label, "error", err)
	}
}

// Remove forgets a claim.
func (s *Store) Remove(label string) {
	err := s.db.Update(func(tx *bbolt.Tx) error { return tx.Bucket(bucket).Delete([]byte(label)) })
	if err != nil {
		s.log.Warn("claim not removed from the store", "label", label, "error", err)
	}
}

// Close ends the store. Calls that come later are logged as failures.
func (s *Store) Close() { _ = s.db.Close() }
