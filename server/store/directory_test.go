package store

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestOthersAreKeptOut(t *testing.T) {
	mode := func(path string) fs.FileMode {
		t.Helper()
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return info.Mode().Perm()
	}
	chmod := func(path string, mode fs.FileMode) {
		t.Helper()
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	dir := filepath.Join(t.TempDir(), "data")
	for _, was := range []string{"not there", "open to others"} {
		s, log := open(t, dir)
		if mode(dir) != privateDir || mode(filepath.Join(dir, name)) != privateFile || log.Len() > 0 {
			t.Errorf("%s: modes %v and %v, log %s; want 0700 and 0600", was, mode(dir), mode(filepath.Join(dir, name)), log)
		}
		s.Close()
		chmod(dir, 0o755)
		chmod(filepath.Join(dir, name), 0o644)
	}
	if err := os.WriteFile(filepath.Join(dir, "something else"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	s, log := open(t, dir)
	defer s.Close()
	if mode(dir) != 0o755 || mode(filepath.Join(dir, name)) != privateFile || !strings.Contains(log.String(), "chmod 700 "+dir) {
		t.Errorf("shared: modes %v and %v, log %s; want the directory left, the file 0600, and what to do", mode(dir), mode(filepath.Join(dir, name)), log)
	}
}
