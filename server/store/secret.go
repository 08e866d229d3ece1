package store

import (
	"crypto/rand"

	"go.etcd.io/bbolt"
)

// secretBucket holds secrets of the gateway, by what they are for.
var secretBucket = []byte("secrets")

// secretBytes is how long one is.
const secretBytes = 32

// Secret returns a random secret for a purpose, the same from then on. It is as secret as the file.
func (s *Store) Secret(purpose string) (secret []byte, err error) {
	err = s.db.View(func(tx *bbolt.Tx) error {
		if b := tx.Bucket(secretBucket); b != nil {
			secret = append(secret, b.Get([]byte(purpose))...)
		}
		return nil
	})
	if err != nil || len(secret) == secretBytes {
		return secret, wrapped(err)
	}
	err = s.db.Update(func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucketIfNotExists(secretBucket)
		if err != nil {
			return err
		}
		secret = make([]byte, secretBytes)
		_, _ = rand.Read(secret) // never fails
		return b.Put([]byte(purpose), secret)
	})
	return secret, wrapped(err)
}
