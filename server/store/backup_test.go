package store

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"reversehttp/server/claim"
)

// backup returns a backup of a store.
func backup(t *testing.T, s *Store) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := s.Backup(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestABackupIsRestored(t *testing.T) {
	from, to := t.TempDir(), filepath.Join(t.TempDir(), "made", "on the way")
	s, _ := open(t, from)
	for i := range 100 {
		create(t, s, claim.Record{Label: fmt.Sprint("label-", i), Token: claim.HashToken("t0")})
	}
	create(t, s, claim.Record{Label: "released", History: claim.History{Released: time.UnixMilli(1)}})
	want := records(t, s)
	copied := backup(t, s)
	create(t, s, claim.Record{Label: "later"})
	for range 2 { // into a directory without a store, and into one with that one
		c, err := Restore(to, bytes.NewReader(copied))
		if err != nil || c != (Content{Format: Format, Claims: 100, Released: 1}) {
			t.Fatalf("restore: %+v %v, want 100 claims and a released label", c, err)
		}
		restored, log := open(t, to)
		if got := records(t, restored); !reflect.DeepEqual(got, want) || log.Len() > 0 {
			t.Errorf("restored %d claims, log %s; want those of the backup", len(got), log)
		}
		create(t, restored, claim.Record{Label: "after"})
		restored.Close()
	}
	if c, err := Check(filepath.Join(to, name+".before")); err != nil || c.Claims != 101 {
		t.Errorf("what was there before: %+v %v, want 101 claims", c, err)
	}
	onlyTheStoreIsLeft(t, from)
	onlyTheStoreIsLeft(t, to)
}

// onlyTheStoreIsLeft fails if others can read the files in a directory, or if a temporary file is
// left.
func onlyTheStoreIsLeft(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if info, err := e.Info(); err != nil || !strings.HasPrefix(e.Name(), name) || info.Mode().Perm() != privateFile {
			t.Errorf("%s is left, with mode %v", e.Name(), info.Mode())
		}
	}
}

// stalled is a writer that blocks until it is released.
type stalled struct{ may, asked chan struct{} }

func (s stalled) Write(p []byte) (int, error) {
	s.asked <- struct{}{}
	<-s.may
	return len(p), nil
}

func TestASlowBackupDelaysNothing(t *testing.T) {
	s, _ := open(t, t.TempDir())
	w := stalled{make(chan struct{}), make(chan struct{}, 1<<10)}
	done := make(chan error)
	go func() { done <- s.Backup(w) }()
	<-w.asked
	for i := range 300 { // the file has to grow: bbolt then waits for readers
		create(t, s, claim.Record{Label: fmt.Sprint(strings.Repeat("label-", 8), i), Token: claim.HashToken("t0")})
	}
	close(w.may)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestABackupWithoutAReaderFails(t *testing.T) {
	dir := t.TempDir()
	s, _ := open(t, dir)
	broken := errors.New("broken")
	r, w := io.Pipe()
	_ = r.CloseWithError(broken)
	if err := s.Backup(w); !errors.Is(err, broken) {
		t.Errorf("backup: %v, want why the other end is gone", err)
	}
	onlyTheStoreIsLeft(t, dir)
}

func TestOnlyAWholeBackupIsRestored(t *testing.T) {
	s, _ := open(t, t.TempDir())
	for i := range 100 {
		create(t, s, claim.Record{Label: fmt.Sprint("label-", i)})
	}
	whole := backup(t, s)
	later := t.TempDir()
	if _, err := Restore(later, bytes.NewReader(whole)); err != nil {
		t.Fatal(err)
	}
	edit(t, later, func(tx *bbolt.Tx) error { return tx.Bucket(formatBucket).Put(formatKey, []byte("99")) })
	ofLater, err := os.ReadFile(filepath.Join(later, name))
	if err != nil {
		t.Fatal(err)
	}
	damaged := bytes.Clone(whole)
	for i := 8192; i < len(damaged); i += 512 {
		damaged[i] ^= 0xff
	}
	broken := errors.New("broken")
	for what, c := range map[string]struct {
		backup io.Reader
		says   string
	}{
		"empty":       {strings.NewReader(""), "cannot restore"},
		"other":       {strings.NewReader(strings.Repeat("not a database ", 9000)), "cannot restore"},
		"cut short":   {bytes.NewReader(whole[:len(whole)/2]), "truncated"},
		"damaged":     {bytes.NewReader(damaged), "cannot restore"},
		"later":       {bytes.NewReader(ofLater), "a later version"},
		"interrupted": {io.MultiReader(bytes.NewReader(whole[:9000]), errorReader{broken}), "broken"},
	} {
		dir := t.TempDir()
		kept, _ := open(t, dir)
		create(t, kept, claim.Record{Label: "kept"})
		kept.Close()
		if _, err := Restore(dir, c.backup); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want an error that says %q", what, err, c.says)
		}
		kept, _ = open(t, dir)
		if got := records(t, kept); len(got) != 1 || got[0].Label != "kept" {
			t.Errorf("%s: kept %+v, want what was there", what, got)
		}
		onlyTheStoreIsLeft(t, dir)
	}
}

type errorReader struct{ err error }

func (r errorReader) Read([]byte) (int, error) { return 0, r.err }

func TestADirectoryInUseIsNotRestored(t *testing.T) {
	dir := t.TempDir()
	s, _ := open(t, dir)
	create(t, s, claim.Record{Label: "demo"})
	if _, err := Restore(dir, bytes.NewReader(backup(t, s))); err == nil || !strings.Contains(err.Error(), "another gateway") {
		t.Errorf("restore: %v, want an error about the gateway", err)
	}
	onlyTheStoreIsLeft(t, dir)
}

// Each piece of the file is changed in turn. Whatever can still be restored is a store.
func TestDamageIsAnError(t *testing.T) {
	s, _ := open(t, t.TempDir())
	for i := range 20 {
		create(t, s, claim.Record{Label: fmt.Sprint("label-", i)})
	}
	whole := backup(t, s)
	refused, restored := 0, 0
	for at := 0; at < len(whole); at += 1031 {
		damaged := bytes.Clone(whole)
		for i := at; i < min(at+8, len(damaged)); i++ {
			damaged[i] ^= 0xff
		}
		dir := t.TempDir()
		if _, err := Restore(dir, bytes.NewReader(damaged)); err != nil {
			refused++
			onlyTheStoreIsLeft(t, dir)
			continue
		}
		restored++
		s, _ := open(t, dir)
		for i := range 20 {
			if _, err := s.Create(t.Context(), claim.Record{Label: fmt.Sprint("other-", i)}); err != nil {
				t.Errorf("damaged at %d: %v", at, err)
			}
		}
		s.Close()
	}
	if refused == 0 || restored == 0 {
		t.Errorf("%d refused and %d restored, want some of each", refused, restored)
	}
}
