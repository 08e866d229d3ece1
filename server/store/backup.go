package store

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"go.etcd.io/bbolt"
	bbolterrors "go.etcd.io/bbolt/errors"
)

// Backup writes a snapshot of the store to w, as a file that [Restore] accepts. The gateway may
// serve meanwhile, and a slow w does not delay it, because the copy is made in the directory first.
func (s *Store) Backup(w io.Writer) error {
	copied, err := os.CreateTemp(filepath.Dir(s.path), "backup-*.tmp") // readable by this user only
	if err != nil {
		return wrapped(err)
	}
	defer func() {
		_ = copied.Close()
		_ = os.Remove(copied.Name())
	}()
	err = s.db.View(func(tx *bbolt.Tx) error {
		_, err := tx.WriteTo(copied)
		return err
	})
	if err == nil {
		_, err = copied.Seek(0, io.SeekStart)
	}
	if err == nil {
		_, err = io.Copy(w, copied)
	}
	return wrapped(err)
}

// Content describes the content of a store file.
type Content struct {
	// Format is the format that the file was written in.
	Format int
	// Claims is the number of readable claims, and Released that of released labels. Unreadable is
	// the number of records that the gateway would skip at its start.
	Claims, Released, Unreadable int
}

// Check reads a whole file, such as one that [Store.Backup] wrote, without changing it. It returns
// an error if the file is damaged, is not a store, or has a later format.
func Check(path string) (Content, error) {
	c, err := inspect(path, func(*bbolt.DB) error { return nil })
	if err != nil {
		return Content{}, fmt.Errorf("cannot read %s: %w", path, err)
	}
	return c, nil
}

// inspect counts the content of a file, and then calls use with it.
func inspect(path string, use func(*bbolt.DB) error) (c Content, err error) {
	if _, err := os.Stat(path); err != nil {
		return c, err
	}
	db, err := openFile(path, true)
	if err != nil {
		return c, err
	}
	defer func() { _ = db.Close() }()
	err = guarded(func() error {
		if err := db.View(c.read); err != nil {
			return err
		}
		return use(db)
	})
	return c, err
}

// read reads and counts every record.
func (c *Content) read(tx *bbolt.Tx) (err error) {
	if there, err := os.Stat(tx.DB().Path()); err != nil || there.Size() < tx.Size() {
		return errors.Join(err, errors.New("it is truncated"))
	}
	if c.Format, err = formatOf(tx); err != nil {
		return err
	}
	b := tx.Bucket(bucket)
	if b == nil {
		return errors.New("it has no claims")
	}
	return b.ForEach(func(label, value []byte) error {
		switch k, err := read(label, value); {
		case err != nil:
			c.Unreadable++
		case k.Released.IsZero():
			c.Claims++
		default:
			c.Released++
		}
		return nil
	})
}

// Restore makes the backup in r the store of a directory, which it creates if it is missing. It
// returns an error, and changes nothing, if a gateway uses the directory or [Check] fails. It moves
// an existing store to claims.db.before, replacing any file of that name.
func Restore(dir string, r io.Reader) (c Content, err error) {
	if err := makeDirectory(dir); err != nil {
		return c, err
	}
	path := filepath.Join(dir, name)
	if there, err := os.Stat(path); err == nil && there.Mode().IsRegular() && there.Size() > 0 {
		db, err := openFile(path, false)
		if errors.Is(err, bbolterrors.ErrTimeout) {
			return c, inUse(dir)
		}
		if err == nil {
			defer func() { _ = db.Close() }() // held so that no gateway starts meanwhile
		}
	}
	given, err := temporary(dir, func(f *os.File) error {
		_, err := io.Copy(f, r)
		return err
	})
	defer func() { _ = os.Remove(given) }()
	if err != nil {
		return c, fmt.Errorf("cannot read the backup, or cannot write it to %s: %w", dir, err)
	}
	fresh, err := temporary(dir, func(*os.File) error { return nil })
	defer func() { _ = os.Remove(fresh) }()
	if err != nil {
		return c, unwritable(dir, err)
	}
	if c, err = inspect(given, func(from *bbolt.DB) error { return rebuild(fresh, from) }); err != nil {
		return Content{}, fmt.Errorf("cannot restore the backup: %w", err)
	}
	if err := os.Rename(path, path+".before"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return c, unwritable(dir, err)
	}
	if err := os.Rename(fresh, path); err != nil {
		return c, unwritable(dir, err)
	}
	return c, nil
}

// temporary creates a file in a directory, readable by this user only, and calls fill to write it.
func temporary(dir string, fill func(*os.File) error) (path string, err error) {
	f, err := os.CreateTemp(dir, "restore-*.tmp")
	if err != nil {
		return "", err
	}
	return f.Name(), errors.Join(fill(f), f.Close())
}

// rebuild copies all records of a store to an empty file, so that no unread page of the backup
// remains.
func rebuild(path string, from *bbolt.DB) error {
	to, err := openFile(path, false)
	if err != nil {
		return err
	}
	defer func() { _ = to.Close() }() // also if reading panics
	return errors.Join(bbolt.Compact(to, from, 0), to.Sync())
}
