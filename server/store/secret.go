package store

import (
	"crypto/rand"

	"go.etcd.io/bbolt"
)

// secretBucket holds secrets of the gateway, by purpose.
var secretBucket = []byte("secrets")

// secretBytes is the length of a secret.
const secretBytes = 32

// Secret returns the random secret for a purpose, which it creates at the first call. It is as
// secret as the file.
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
