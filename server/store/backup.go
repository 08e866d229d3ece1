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

// Backup writes the store as it is at one moment to w: a file that [Restore] takes. The gateway may serve
// meanwhile, and is not held up by a slow w: the copy is made in the directory first.
func (s *Store) Backup(w io.Writer) error {
	copied, err := os.CreateTemp(filepath.Dir(s.path), "backup-*.tmp") // only this user may read it
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

// Content is what a file of a store has.
type Content struct {
	// Format is the one that the file was written in.
	Format int
	// Claims counts those that can be read, and Released the labels that were released. Unreadable counts records that a
	// start leaves out.
	Claims, Released, Unreadable int
}

// Check reads a whole file, such as one that [Store.Backup] wrote, and changes nothing. It fails where the
// file is damaged, is not a store, or is of a later format.
func Check(path string) (Content, error) {
	c, err := inspect(path, func(*bbolt.DB) error { return nil })
	if err != nil {
		return Content{}, fmt.Errorf("%s cannot be read: %w", path, err)
	}
	return c, nil
}

// inspect counts what a file has, and then has use read it.
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

// read counts what there is, and so reads every record.
func (c *Content) read(tx *bbolt.Tx) (err error) {
	if there, err := os.Stat(tx.DB().Path()); err != nil || there.Size() < tx.Size() {
		return errors.Join(err, errors.New("it was cut short"))
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

// Restore makes the backup that r has the store of a directory, which it makes where it is missing. It fails,
// and changes nothing, where a gateway uses the directory, and where [Check] fails. A store that was there is
// moved to claims.db.before; one that was there before goes.
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
			defer func() { _ = db.Close() }() // no gateway starts meanwhile
		}
	}
	given, err := temporary(dir, func(f *os.File) error {
		_, err := io.Copy(f, r)
		return err
	})
	defer func() { _ = os.Remove(given) }()
	if err != nil {
		return c, fmt.Errorf("the backup cannot be read, or not be written to %s: %w", dir, err)
	}
	fresh, err := temporary(dir, func(*os.File) error { return nil })
	defer func() { _ = os.Remove(fresh) }()
	if err != nil {
		return c, unwritable(dir, err)
	}
	if c, err = inspect(given, func(from *bbolt.DB) error { return rebuild(fresh, from) }); err != nil {
		return Content{}, fmt.Errorf("the backup cannot be restored: %w", err)
	}
	if err := os.Rename(path, path+".before"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return c, unwritable(dir, err)
	}
	if err := os.Rename(fresh, path); err != nil {
		return c, unwritable(dir, err)
	}
	return c, nil
}

// temporary makes a file in a directory that only this user may read, and has fill write it.
func temporary(dir string, fill func(*os.File) error) (path string, err error) {
	f, err := os.CreateTemp(dir, "restore-*.tmp")
	if err != nil {
		return "", err
	}
	return f.Name(), errors.Join(fill(f), f.Close())
}

// rebuild writes all that a store has to an empty file, so that of the pages of the backup nothing is left
// that nobody read.
func rebuild(path string, from *bbolt.DB) error {
	to, err := openFile(path, false)
	if err != nil {
		return err
	}
	defer func() { _ = to.Close() }() // also where reading panics
	return errors.Join(bbolt.Compact(to, from, 0), to.Sync())
}
