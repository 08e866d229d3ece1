package store

import (
	"bytes"

	"go.etcd.io/bbolt"
)

// withdrawn is the bucket of the labels that the operator took down. It is missing if there are
// none.
var withdrawn = []byte("withdrawn")

// Withdrawn returns the values of withdrawn labels, by label.
func (s *Store) Withdrawn() (map[string][]byte, error) {
	all := map[string][]byte{}
	err := s.db.View(func(tx *bbolt.Tx) error {
		b := tx.Bucket(withdrawn)
		if b == nil {
			return nil
		}
		return b.ForEach(func(label, value []byte) error {
			all[string(label)] = bytes.Clone(value)
			return nil
		})
	})
	return all, wrapped(err)
}

// Withdraw stores a label as withdrawn, with a value. It returns once that is on disk.
func (s *Store) Withdraw(label string, value []byte) error {
	return s.withdraw(func(b *bbolt.Bucket) error { return b.Put([]byte(label), value) })
}

// Restore deletes what Withdraw stored for a label.
func (s *Store) Restore(label string) error {
	return s.withdraw(func(b *bbolt.Bucket) error { return b.Delete([]byte(label)) })
}

func (s *Store) withdraw(change func(*bbolt.Bucket) error) error {
	if err := s.isThere(); err != nil {
		return wrapped(err)
	}
	return wrapped(s.db.Update(func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucketIfNotExists(withdrawn)
		if err != nil {
			return err
		}
		return change(b)
	}))
}
