package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// entries reads lines.
func entries(t *testing.T, content []byte) (all []Entry) {
	t.Helper()
	for line := range bytes.Lines(content) {
		var e Entry
		if err := json.Unmarshal(line, &e); err != nil {
			continue // one that was cut
		}
		all = append(all, e)
	}
	return all
}

func TestTheFileIsForOneUserAndGrows(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	if err := os.WriteFile(path, []byte("{\"event\":\"before\"}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	l, err := Open(path, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	l.Note(Entry{Event: ClaimMade, Label: "demo", Address: "192.0.2.1"})
	l.Close()
	l.Note(Entry{Event: ClaimMade}) // is too late, and harms nothing
	l.Close()
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file has %v %v, want 0600", info.Mode(), err)
	}
	content, _ := os.ReadFile(path)
	all := entries(t, content)
	if len(all) != 2 || all[0].Event != "before" || all[1].Label != "demo" || !strings.HasSuffix(all[1].Time, "Z") || l.Written() != 1 || l.Lost() != 0 {
		t.Errorf("the file has %s", content)
	}
}

func TestAFileThatWasMovedAwayIsCreatedAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	l, err := Open(path, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	l.Note(Entry{Event: "one"})
	for l.Written() < 1 {
	}
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	l.Reopen()
	for _, err := os.Stat(path); err != nil; _, err = os.Stat(path) {
	}
	l.Note(Entry{Event: "two"})
	l.Close()
	for file, want := range map[string]string{path: "two", path + ".1": "one"} {
		content, _ := os.ReadFile(file)
		if all := entries(t, content); len(all) != 1 || all[0].Event != want {
			t.Errorf("%s has %s, want %s", filepath.Base(file), content, want)
		}
	}
}

// disk is a file on a disk that may be full.
type disk struct {
	mu      sync.Mutex // guards below
	room    int        // bytes; negative for as many as come
	content bytes.Buffer
}

func (d *disk) Write(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.room < 0 || len(p) <= d.room {
		d.room -= len(p)
		return d.content.Write(p)
	}
	n, _ := d.content.Write(p[:d.room])
	d.room = 0
	return n, errors.New("no space left on device")
}

func (d *disk) Close() error { return nil }

func TestEntriesLostToAFullDiskAreReportedOnce(t *testing.T) {
	d := &disk{room: 100}
	var said bytes.Buffer
	l, err := openWith("audit.jsonl", slog.New(slog.NewTextHandler(&said, nil)), func(string) (io.WriteCloser, error) { return d, nil })
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		l.Note(Entry{Event: ClaimMade, Label: "demo"}) // 70 bytes or so: the second is cut
	}
	for l.Written()+l.Lost() < 5 {
	}
	d.mu.Lock()
	d.room = -1
	d.mu.Unlock()
	l.Note(Entry{Event: ClaimReleased, Label: "demo"})
	l.Close()
	all := entries(t, d.content.Bytes())
	if len(all) != 3 || all[0].Event != ClaimMade || all[1].Event != Lost || all[1].Count != 4 || all[2].Event != ClaimReleased {
		t.Errorf("the file has %s, want the first, 4 lost, and the last", d.content.String())
	}
	if l.Written() != 2 || l.Lost() != 4 {
		t.Errorf("%d written, %d lost, want 2 and 4", l.Written(), l.Lost())
	}
	if text := said.String(); strings.Count(text, "cannot be written") != 1 || strings.Count(text, "is written again") != 1 || !strings.Contains(text, "lost=4") {
		t.Errorf("the log says %s, want each once", text)
	}
}

// stuck is a file on a disk that does not answer.
type stuck struct{ waits chan struct{} }

func (s *stuck) Write(p []byte) (int, error) { <-s.waits; return len(p), nil }
func (s *stuck) Close() error                { return nil }

func TestNobodyWaitsForTheDisk(t *testing.T) {
	s := &stuck{make(chan struct{})}
	l, err := openWith("audit.jsonl", slog.New(slog.DiscardHandler), func(string) (io.WriteCloser, error) { return s, nil })
	if err != nil {
		t.Fatal(err)
	}
	for range 2 * mostWaiting {
		l.Note(Entry{Event: ClaimMade})
	}
	if n := l.Lost(); n < mostWaiting-1 || n > mostWaiting {
		t.Errorf("%d are lost, want as many as found no room", n)
	}
	close(s.waits)
	l.Close()
}
