package store

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"
	"go.uber.org/goleak"

	"reversehttp/server/claim"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T, dir string) (*Store, *bytes.Buffer) {
	t.Helper()
	var log bytes.Buffer
	s, err := Open(dir, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s, &log
}

func records(t *testing.T, s *Store) (rs []claim.Record) {
	t.Helper()
	kept, err := s.Records()
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range kept {
		rs = append(rs, k.Record)
	}
	slices.SortFunc(rs, func(a, b claim.Record) int { return cmp.Compare(a.Label, b.Label) })
	return rs
}

// create stores a new record.
func create(t *testing.T, s claim.Records, r claim.Record) (revision uint64) {
	t.Helper()
	revision, err := s.Create(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return revision
}

func TestStoredClaimsAreReadAgain(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "on the way")
	s, log := open(t, dir)
	a := claim.Record{Label: "a", Token: claim.HashToken("t0"), Terms: claim.Terms{Lease: time.Hour, Timeout: 1500 * time.Millisecond, Redeliver: claim.RedeliverKeyed}}
	b := claim.Record{Label: "b-1", Token: claim.HashToken("t1"), Terms: claim.Terms{Lease: time.Second, Timeout: time.Minute, Redeliver: claim.RedeliverIdempotent}}
	at := time.UnixMilli(1_700_000_000_123)
	b.History = claim.History{Past: "x", Minted: true, Begun: at, Released: at.Add(time.Hour), Until: at.Add(2 * time.Hour)}
	gone := claim.Record{Label: "gone", Token: claim.HashToken("t2")}
	revision := create(t, s, gone)
	create(t, s, a)
	first := create(t, s, b)
	b.Token, b.Redeliver = claim.HashToken("t3"), claim.RedeliverAny
	if _, err := s.Update(t.Context(), b, first); err != nil {
		t.Fatal(err)
	}
	if err := s.Delete(t.Context(), "gone", revision); err != nil {
		t.Fatal(err)
	}
	for _, reopened := range []bool{false, true} {
		if reopened {
			s.Close()
			s, log = open(t, dir)
		}
		if got := records(t, s); !reflect.DeepEqual(got, []claim.Record{a, b}) {
			t.Errorf("reopened %v: kept %+v, want %+v", reopened, got, []claim.Record{a, b})
		}
		if log.Len() > 0 {
			t.Errorf("log: %s", log)
		}
	}
}

func TestTokensAreNotInTheFile(t *testing.T) {
	dir := t.TempDir()
	s, _ := open(t, dir)
	create(t, s, claim.Record{Label: "a", Token: claim.HashToken("token-secret")})
	s.Close()
	files, err := os.ReadDir(dir)
	if err != nil || len(files) == 0 {
		t.Fatalf("files: %v %v", files, err)
	}
	for _, f := range files {
		raw, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(raw, []byte("token-secret")) {
			t.Errorf("%s holds the token", f.Name())
		}
		if info, err := f.Info(); err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s can be read by others: %v %v", f.Name(), info.Mode(), err)
		}
	}
}

func TestTheErrorForAnUnusableDirectorySaysWhatToDo(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{file, filepath.Join(file, "below")} {
		_, err := Open(dir, slog.New(slog.DiscardHandler))
		if err == nil || !strings.Contains(err.Error(), "--data="+dir) || !strings.Contains(err.Error(), "choose a directory") {
			t.Errorf("%s: %v, want an error that says what to do", dir, err)
		}
	}
}

func TestTheErrorForADirectoryInUseSaysSo(t *testing.T) {
	dir := t.TempDir()
	open(t, dir)
	if _, err := Open(dir, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "another gateway") {
		t.Errorf("second store: %v, want an error about the other gateway", err)
	}
}

func TestAnotherFileIsNotOverwritten(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "claims.db")
	content := []byte(strings.Repeat("not a database ", 1000))
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "move it away") {
		t.Errorf("open: %v, want an error that says what to do", err)
	}
	if got, err := os.ReadFile(file); err != nil || !bytes.Equal(got, content) {
		t.Errorf("the file was changed: %v", err)
	}
}

func TestAnUnreadableRecordIsLeftOut(t *testing.T) {
	s, log := open(t, t.TempDir())
	create(t, s, claim.Record{Label: "good", Token: claim.HashToken("t0")})
	err := s.db.Update(func(tx *bbolt.Tx) error {
		for label, value := range map[string]string{"bad-json": "{", "bad-token": `{"token":"YQ=="}`} {
			if err := tx.Bucket(bucket).Put([]byte(label), []byte(value)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := records(t, s); len(got) != 1 || got[0].Label != "good" {
		t.Errorf("kept = %+v, want the good one", got)
	}
	if !strings.Contains(log.String(), "bad-json") || !strings.Contains(log.String(), "bad-token") {
		t.Errorf("log = %s, want both labels", log)
	}
}

func TestAFailureOfTheStoreIsAnError(t *testing.T) {
	s, _ := open(t, t.TempDir())
	revision := create(t, s, claim.Record{Label: "b"})
	s.Close()
	s.Close()
	_, created := s.Create(t.Context(), claim.Record{Label: "a"})
	_, updated := s.Update(t.Context(), claim.Record{Label: "b"}, revision)
	deleted := s.Delete(t.Context(), "b", revision)
	_, _, got := s.Get(t.Context(), "b")
	for name, err := range map[string]error{"create": created, "update": updated, "delete": deleted, "get": got} {
		if err == nil || errors.Is(err, claim.ErrExists) || errors.Is(err, claim.ErrMoved) || errors.Is(err, claim.ErrNoRecord) {
			t.Errorf("%s in a closed store: %v, want another error", name, err)
		}
	}
}

func TestAReplacedFileIsNoLongerWritten(t *testing.T) {
	for name, replace := range map[string]func(path string) error{
		"removed": os.Remove,
		"replaced": func(path string) error {
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			return errors.Join(os.WriteFile(path+".copy", content, 0o600), os.Rename(path+".copy", path))
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s, log := open(t, dir)
			if _, err := s.Create(t.Context(), claim.Record{Label: "demo"}); err != nil {
				t.Fatal(err)
			}
			if err := replace(filepath.Join(dir, "claims.db")); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Create(t.Context(), claim.Record{Label: "lost"}); err == nil || !strings.Contains(err.Error(), "start the gateway again") {
				t.Errorf("create: %v, want an error that says what to do", err)
			}
			if !strings.Contains(log.String(), "cannot store claims") {
				t.Errorf("the log says %q", log)
			}
		})
	}
}

func TestAFileThatWasCutShortIsDamaged(t *testing.T) {
	for _, size := range []int64{8192, 20000} {
		dir := t.TempDir()
		s, _ := open(t, dir)
		for i := range 100 {
			create(t, s, claim.Record{Label: fmt.Sprint("label", i)})
		}
		s.Close()
		if err := os.Truncate(filepath.Join(dir, "claims.db"), size); err != nil {
			t.Fatal(err)
		}
		if s, err := Open(dir, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "move it away") {
			if err == nil {
				s.Close()
			}
			t.Errorf("%d bytes: %v, want an error that says what to do", size, err)
		}
	}
}
