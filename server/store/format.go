package store

import (
	"errors"
	"fmt"
	"strconv"

	"go.etcd.io/bbolt"
)

// A file has a mark with its format, so that a later gateway can migrate it and an earlier one
// leaves it alone. Format 1 has records by label; its first files have no mark. In format 2 a
// record may be of a released label.

// Format is the format that this gateway writes. A new format needs another step in [migrations].
const Format = 2

// migrations[n] brings a file from format n to the next.
var migrations = [Format]func(*bbolt.Tx) error{
	0: prepare,
	1: func(*bbolt.Tx) error { return nil }, // its records, all of claims, stay as they are
}

// formatBucket holds the mark, under formatKey.
var (
	formatBucket = []byte("format")
	formatKey    = []byte("version")
)

// errLater is the error for a file of a later format.
var errLater = errors.New("a later version of the gateway wrote it")

// errNoMark is the error for a file whose mark is not a number.
var errNoMark = errors.New("it does not say its format")

// formatOf returns the format of a file, which is 0 if the file is new.
func formatOf(tx *bbolt.Tx) (int, error) {
	b := tx.Bucket(formatBucket)
	switch {
	case b == nil && tx.Bucket(bucket) == nil:
		return 0, nil
	case b == nil:
		return 1, nil
	}
	format, err := strconv.Atoi(string(b.Get(formatKey)))
	switch {
	case err != nil || format < 1:
		return 0, errNoMark
	case format > Format:
		return format, fmt.Errorf("%w, in format %d; this one reads up to %d", errLater, format, Format)
	}
	return format, nil
}

// migrate brings a file to the current format. It does not change a file of a later format.
func migrate(db *bbolt.DB) error {
	var format int
	marked := false
	err := db.View(func(tx *bbolt.Tx) (err error) {
		format, err = formatOf(tx)
		marked = tx.Bucket(formatBucket) != nil
		return err
	})
	if err != nil || format == Format && marked {
		return err
	}
	return db.Update(func(tx *bbolt.Tx) error {
		for _, step := range migrations[format:] {
			if err := step(tx); err != nil {
				return err
			}
		}
		b, err := tx.CreateBucketIfNotExists(formatBucket)
		if err != nil {
			return err
		}
		return b.Put(formatKey, []byte(strconv.Itoa(Format)))
	})
}

// prepare makes a new file an empty store.
func prepare(tx *bbolt.Tx) error {
	b, err := tx.CreateBucketIfNotExists(bucket)
	if err != nil || b.Sequence() >= firstRevision {
		return err
	}
	return b.SetSequence(firstRevision)
}
