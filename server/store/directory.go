package store

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
)

// name is the name of the file.
const name = "claims.db"

// The modes of the directory and the file. No other user may read who owns which label.
const (
	privateDir  fs.FileMode = 0o700
	privateFile fs.FileMode = 0o600
)

// makeDirectory creates a directory if it is missing.
func makeDirectory(dir string) error {
	if err := os.MkdirAll(dir, privateDir); err != nil {
		return unwritable(dir, err)
	}
	return nil
}

// closeToOthers denies other users access to the directory and the file. A directory with other
// files in it may be shared on purpose; for that it only logs a warning.
func closeToOthers(dir string, log *slog.Logger) {
	const others = 0o077
	if there, err := os.Stat(dir); err == nil && there.Mode().Perm()&others != 0 && (!ours(dir) || os.Chmod(dir, privateDir) != nil) {
		log.Warn("other users can read the directory of --data", "data", dir, "mode", there.Mode().Perm().String(), "do", "chmod 700 "+dir+", or use a directory with nothing else in it")
	}
	path := filepath.Join(dir, name)
	if there, err := os.Stat(path); err == nil && there.Mode().Perm()&others != 0 && os.Chmod(path, privateFile) != nil {
		log.Warn("other users can read the stored claims", "file", path, "mode", there.Mode().Perm().String(), "do", "chmod 600 "+path)
	}
}

// ours reports whether a directory holds only files that a store puts there.
func ours(dir string) bool {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		if n := e.Name(); !strings.HasPrefix(n, name) && !strings.HasSuffix(n, ".tmp") {
			return false
		}
	}
	return err == nil
}

func unwritable(dir string, err error) error {
	return fmt.Errorf("--data=%s: cannot write there (%w); choose a directory that this user may write to", dir, err)
}

func inUse(dir string) error {
	return fmt.Errorf("--data=%s: another gateway uses it; stop that one, or choose another directory", dir)
}

// unreadable returns the error for a file that cannot be opened, with what to do.
func unreadable(dir string, err error) error {
	if errors.Is(err, errLater) {
		return fmt.Errorf("--data=%s: cannot open claims.db: %w; run that version, or restore a backup from this one", dir, err)
	}
	return fmt.Errorf("--data=%s: cannot open claims.db: %w; move it away to start with an empty store", dir, err)
}
