package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"reversehttp/server/claim"
	"reversehttp/server/terms"
)

func TestRecordsChangeOnlyTheRevisionThatIsNamed(t *testing.T) {
	s, _ := open(t, t.TempDir())
	for name, r := range map[string]claim.Records{"memory": claim.NewMemoryRecords(), "store": s} {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			demo := claim.Record{Label: "demo", Token: claim.HashToken("t0"), Unpolled: true}
			other := demo
			other.Token = claim.HashToken("t1")
			expect := func(want claim.Record, at uint64) {
				t.Helper()
				if got, revision, err := r.Get(ctx, "demo"); err != nil || revision != at || got.Token != want.Token {
					t.Fatalf("get = %+v %d %v, want %+v %d", got, revision, err, want, at)
				}
			}
			fails := func(err, want error) {
				t.Helper()
				if !errors.Is(err, want) {
					t.Fatalf("%v, want %v", err, want)
				}
			}
			_, _, err := r.Get(ctx, "demo")
			fails(err, claim.ErrNoRecord)
			_, err = r.Update(ctx, demo, 1)
			fails(err, claim.ErrMoved)
			fails(r.Delete(ctx, "demo", 1), claim.ErrMoved)

			one := create(t, r, demo)
			if one == 0 {
				t.Fatal("the revision of a record is 0")
			}
			_, err = r.Create(ctx, other)
			fails(err, claim.ErrExists)
			expect(demo, one)
			two, err := r.Update(ctx, other, one)
			if err != nil {
				t.Fatal(err)
			}
			_, err = r.Update(ctx, demo, one)
			fails(err, claim.ErrMoved)
			fails(r.Delete(ctx, "demo", one), claim.ErrMoved)
			expect(other, two)
			if err := r.Delete(ctx, "demo", two); err != nil {
				t.Fatal(err)
			}
			three := create(t, r, demo)
			if revisions := []uint64{one, two, three}; !slices.IsSorted(revisions) || slices.Contains(revisions[:2], three) || one == two {
				t.Errorf("revisions %d, want each later than those before", revisions)
			}
		})
	}
}

func TestRevisionsContinueInAReopenedFile(t *testing.T) {
	dir := t.TempDir()
	s, _ := open(t, dir)
	first := create(t, s, claim.Record{Label: "demo"})
	if err := s.Delete(t.Context(), "demo", first); err != nil {
		t.Fatal(err)
	}
	s.Close()
	s, _ = open(t, dir)
	if second := create(t, s, claim.Record{Label: "demo"}); second <= first {
		t.Errorf("revision %d after %d, want a later one", second, first)
	}
}

func TestARecordWithoutARevisionCanBeChanged(t *testing.T) {
	s, _ := open(t, t.TempDir())
	err := s.db.Update(func(tx *bbolt.Tx) error {
		old := fmt.Sprintf(`{"token":"%s","leaseMs":60000,"timeoutMs":60000,"redeliver":"any"}`, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")
		return tx.Bucket(bucket).Put([]byte("old"), []byte(old))
	})
	if err != nil {
		t.Fatal(err)
	}
	kept, err := s.Records()
	if err != nil || len(kept) != 1 || kept[0].Lease != time.Minute || kept[0].Revision == 0 {
		t.Fatalf("kept = %+v %v, want the old record, with a revision", kept, err)
	}
	second, err := s.Update(t.Context(), kept[0].Record, kept[0].Revision)
	if err != nil || second == kept[0].Revision {
		t.Errorf("update = %d %v, want another revision than %d", second, err, kept[0].Revision)
	}
}

func TestALabelWithAnUnreadableRecordCanBeClaimed(t *testing.T) {
	s, _ := open(t, t.TempDir())
	err := s.db.Update(func(tx *bbolt.Tx) error { return tx.Bucket(bucket).Put([]byte("demo"), []byte("{")) })
	if err != nil {
		t.Fatal(err)
	}
	revision := create(t, s, claim.Record{Label: "demo"})
	if err := s.Delete(t.Context(), "demo", revision); err != nil {
		t.Error(err)
	}
}

// TestAnAbandonedChangeEndsBeforeTheLabelIsReadAgain blocks the file, like a disk that does not
// answer.
func TestAnAbandonedChangeEndsBeforeTheLabelIsReadAgain(t *testing.T) {
	s, _ := open(t, t.TempDir())
	disk, err := s.db.Begin(true)
	if err != nil {
		t.Fatal(err)
	}
	ctx, leave := context.WithCancel(t.Context())
	created := make(chan error, 1)
	go func() {
		_, err := s.Create(ctx, claim.Record{Label: "demo"})
		created <- err
	}()
	leave()
	if err := <-created; !errors.Is(err, context.Canceled) {
		t.Fatalf("create: %v, want that it was left", err)
	}
	if _, _, err := s.Get(ctx, "demo"); !errors.Is(err, context.Canceled) {
		t.Errorf("get while the change is under way: %v, want that it waits", err)
	}
	if _, _, err := s.Get(t.Context(), "other"); !errors.Is(err, claim.ErrNoRecord) {
		t.Errorf("get of another label: %v, want that it does not wait", err)
	}
	if err := disk.Rollback(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Get(t.Context(), "demo"); err != nil {
		t.Errorf("get after the change: %v, want the record", err)
	}
}

func TestChangesAtOnceShareTransactions(t *testing.T) {
	s, _ := open(t, t.TempDir())
	disk, err := s.db.Begin(true) // so that all of them wait
	if err != nil {
		t.Fatal(err)
	}
	const changes = 200
	s.db.MaxBatchDelay = time.Hour
	s.db.MaxBatchSize = changes
	before := disk.ID()
	errs := make(chan error, changes)
	for i := range changes {
		go func() {
			_, err := s.Create(t.Context(), claim.Record{Label: fmt.Sprint("demo-", i)})
			errs <- err
		}()
	}
	if err := disk.Rollback(); err != nil {
		t.Fatal(err)
	}
	for range changes {
		if err := <-errs; err != nil {
			t.Fatal(err)
		}
	}
	after, err := s.db.Begin(false)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = after.Rollback() }()
	if got := after.ID() - before + 1; got != 1 {
		t.Errorf("%d changes took %d transactions, want 1", changes, got)
	}
}

// word is a term that a test adds.
type word string

func (word) Shown() any { return nil }

func TestTermsAreReadAgainAlsoThoseOfOtherVersions(t *testing.T) {
	dir := t.TempDir()
	read := func(value []byte) (claim.Term, error) {
		var w word
		err := json.Unmarshal(value, &w)
		return w, err
	}
	reopened := func() *Store {
		s, _ := open(t, dir)
		return s
	}
	remove := terms.Add(terms.Member{Name: "word", Read: read})
	s := reopened()
	want := claim.Record{Label: "demo", Terms: claim.Terms{Lease: time.Minute, Others: map[string]claim.Term{"word": word("secret")}}}
	revision := create(t, s, want)
	s.Close()
	remove()
	s = reopened() // it does not know the word, and changes something else
	r, _, err := s.Get(t.Context(), "demo")
	if err != nil || r.Terms.Others["word"].Shown() != nil {
		t.Fatalf("without the member: %+v %v", r, err)
	}
	r.Lease = time.Hour
	if _, err := s.Update(t.Context(), r, revision); err != nil {
		t.Fatal(err)
	}
	s.Close()
	t.Cleanup(terms.Add(terms.Member{Name: "word", Read: read}))
	want.Lease = time.Hour
	if r, _, err := reopened().Get(t.Context(), "demo"); err != nil || !reflect.DeepEqual(r, want) {
		t.Errorf("kept %+v %v, want %+v", r, err, want)
	}
}

func TestAClaimWithoutTermsThatItHadIsLeftOut(t *testing.T) {
	remove := terms.Add(terms.Member{Name: "word", Read: func([]byte) (claim.Term, error) { return nil, errors.New("no word") }})
	t.Cleanup(remove)
	s, log := open(t, t.TempDir())
	create(t, s, claim.Record{Label: "demo", Terms: claim.Terms{Others: map[string]claim.Term{"word": word("a")}}})
	if got := records(t, s); len(got) != 0 || !strings.Contains(log.String(), "demo") {
		t.Errorf("kept %+v, log %s; want the claim left out, and its label logged", got, log)
	}
}
