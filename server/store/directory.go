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

// name is that of the file.
const name = "claims.db"

// private are the modes of the directory and of the file: nobody else may read who owns which label.
const (
	privateDir  fs.FileMode = 0o700
	privateFile fs.FileMode = 0o600
)

// makeDirectory makes a directory where it is missing.
func makeDirectory(dir string) error {
	if err := os.MkdirAll(dir, privateDir); err != nil {
		return unwritable(dir, err)
	}
	return nil
}

// closeToOthers keeps other users out of the directory and the file. A directory in which something else is
// may be shared on purpose: the log warns of that.
func closeToOthers(dir string, log *slog.Logger) {
	const others = 0o077
	if there, err := os.Stat(dir); err == nil && there.Mode().Perm()&others != 0 && (!ours(dir) || os.Chmod(dir, privateDir) != nil) {
		log.Warn("other users may look into the directory of --data", "data", dir, "mode", there.Mode().Perm().String(), "do", "chmod 700 "+dir+", or give a directory that nothing else is in")
	}
	path := filepath.Join(dir, name)
	if there, err := os.Stat(path); err == nil && there.Mode().Perm()&others != 0 && os.Chmod(path, privateFile) != nil {
		log.Warn("other users may read the claims that are kept", "file", path, "mode", there.Mode().Perm().String(), "do", "chmod 600 "+path)
	}
}

// ours reports whether nothing is in a directory but what a store puts there.
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
	return fmt.Errorf("--data=%s: cannot be written to (%w); choose a directory that this user may write", dir, err)
}

func inUse(dir string) error {
	return fmt.Errorf("--data=%s: another gateway uses it; stop that one, or choose another directory", dir)
}

// unreadable explains why a file is not opened.
func unreadable(dir string, err error) error {
	if errors.Is(err, errLater) {
		return fmt.Errorf("--data=%s: claims.db cannot be opened: %w; run that version, or restore a backup of this one", dir, err)
	}
	return fmt.Errorf("--data=%s: claims.db cannot be opened: %w; move it away to begin anew", dir, err)
}
