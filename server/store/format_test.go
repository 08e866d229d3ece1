package store

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"reversehttp/server/claim"
)

// edit changes a file that no store has open.
func edit(t *testing.T, dir string, change func(*bbolt.Tx) error) {
	t.Helper()
	db, err := bbolt.Open(filepath.Join(dir, name), 0o600, &bbolt.Options{Timeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(db.Update(change), db.Close()); err != nil {
		t.Fatal(err)
	}
}

// old writes a file without a format mark, as the first gateways did, with one claim.
func old(t *testing.T, dir string) {
	t.Helper()
	edit(t, dir, func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucket(bucket)
		if err != nil {
			return err
		}
		return errors.Join(b.SetSequence(7), b.Put([]byte("demo"), []byte(`{"token":"`+strings.Repeat("A", 43)+`=","leaseMs":60000,"timeoutMs":60000,"redeliver":"any","revision":7}`)))
	})
}

// formatIn returns the mark of a file that no store has open.
func formatIn(t *testing.T, dir string) (mark string) {
	t.Helper()
	edit(t, dir, func(tx *bbolt.Tx) error {
		if b := tx.Bucket(formatBucket); b != nil {
			mark = string(b.Get(formatKey))
		}
		return nil
	})
	return mark
}

func TestAFileWithoutAMarkIsBroughtUpToDate(t *testing.T) {
	dir := t.TempDir()
	old(t, dir)
	s, _ := open(t, dir)
	if got := records(t, s); len(got) != 1 || got[0].Label != "demo" || got[0].Lease != time.Minute {
		t.Errorf("kept %+v, want the claim", got)
	}
	if revision := create(t, s, claim.Record{Label: "next"}); revision <= 7 {
		t.Errorf("revision %d, want one after 7", revision)
	}
	s.Close()
	if got := formatIn(t, dir); got != strconv.Itoa(Format) {
		t.Errorf("the file says format %q, want %d", got, Format)
	}
	s, _ = open(t, dir)
	if got := records(t, s); len(got) != 2 {
		t.Errorf("opened again: kept %+v, want two claims", got)
	}
}

func TestANewFileHasItsFormat(t *testing.T) {
	dir := t.TempDir()
	s, _ := open(t, dir)
	s.Close()
	if got := formatIn(t, dir); got != strconv.Itoa(Format) {
		t.Errorf("the file says format %q, want %d", got, Format)
	}
}

func TestAFileOfALaterFormatIsLeftAlone(t *testing.T) {
	for mark, says := range map[string]string{
		strconv.Itoa(Format + 1): "run that version, or restore a backup", "x": "does not say its format", "0": "does not say its format",
	} {
		dir := t.TempDir()
		s, _ := open(t, dir)
		create(t, s, claim.Record{Label: "demo"})
		s.Close()
		edit(t, dir, func(tx *bbolt.Tx) error { return tx.Bucket(formatBucket).Put(formatKey, []byte(mark)) })
		before, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		s, err = Open(dir, slog.New(slog.DiscardHandler))
		if err == nil {
			s.Close()
		}
		if err == nil || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), "--data="+dir) {
			t.Errorf("format %s: %v, want an error that says %q", mark, err, says)
		}
		if after, err := os.ReadFile(filepath.Join(dir, name)); err != nil || !bytes.Equal(before, after) {
			t.Errorf("format %s: the file was changed: %v", mark, err)
		}
	}
}
