package store

import (
	"context"
	"encoding/json"
	"time"

	"go.etcd.io/bbolt"

	"reversehttp/server/quota"
)

// usageBucket holds the usage of quotas, by owner. It is missing if there is none.
var usageBucket = []byte("usage")

// usageLasts is how long usage may matter: a month, and a day for differences between clocks.
const usageLasts = 32 * 24 * time.Hour

// KeepUsage implements [quota.Keeper].
func (s *Store) KeepUsage(ctx context.Context, all ...quota.Record) error {
	if err := s.isThere(); err != nil {
		return wrapped(err)
	}
	return s.batch(ctx, func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucketIfNotExists(usageBucket)
		if err != nil {
			return err
		}
		if s.forgetDue() {
			if err := s.forgetUsage(b, func(quota.Record) {}); err != nil {
				return err
			}
		}
		for _, r := range all {
			value, err := json.Marshal(r)
			if err == nil {
				err = b.Put(usageKey(r), value)
			}
			if err != nil {
				return err
			}
		}
		return nil
	}, func() {})
}

// forgetDue reports, once a day, that old usage should be deleted.
func (s *Store) forgetDue() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Since(s.forgot) < 24*time.Hour {
		return false
	}
	s.forgot = time.Now()
	return true
}

func usageKey(r quota.Record) []byte { return []byte(string(r.Of) + " " + r.Name) }

// Usage returns the stored usage of quotas, and deletes what is too old to matter. It skips records
// that cannot be read.
func (s *Store) Usage() (all []quota.Record, err error) {
	err = s.db.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket(usageBucket)
		if b == nil {
			return nil
		}
		all = nil
		return s.forgetUsage(b, func(r quota.Record) { all = append(all, r) })
	})
	return all, wrapped(err)
}

// forgetUsage deletes usage that is too old to matter, and calls each with the rest.
func (s *Store) forgetUsage(b *bbolt.Bucket, each func(quota.Record)) error {
	var old [][]byte
	err := b.ForEach(func(key, value []byte) error {
		var r quota.Record
		if err := json.Unmarshal(value, &r); err != nil {
			s.log.Warn("skipped unreadable usage in the store", "key", string(key))
			return nil
		}
		for _, since := range r.Since {
			if time.Since(since) < usageLasts {
				each(r)
				return nil
			}
		}
		old = append(old, key)
		return nil
	})
	for _, key := range old {
		if err == nil {
			err = b.Delete(key)
		}
	}
	return err
}
