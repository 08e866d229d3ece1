package store

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/bbolt"

	"reversehttp/server/quota"
)

func TestUsageThatIsTooOldIsForgotten(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s, err := Open(dir, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		keep := func(names ...string) {
			t.Helper()
			for _, name := range names {
				r := quota.Record{Of: quota.Label, Name: name, Used: map[string]int64{"responseBytesPerDay": 1}, Since: map[string]time.Time{"responseBytesPerDay": time.Now()}}
				if err := s.KeepUsage(context.Background(), r); err != nil {
					t.Fatal(err)
				}
			}
		}
		rows := func() (n int) {
			_ = s.db.View(func(tx *bbolt.Tx) error {
				n = tx.Bucket(usageBucket).Stats().KeyN
				return nil
			})
			return n
		}
		keep("a", "b", "c", "c")
		if n := rows(); n != 3 {
			t.Errorf("%d rows, want 3", n)
		}
		time.Sleep(40 * 24 * time.Hour)
		keep("d") // while the gateway runs
		if n := rows(); n != 1 {
			t.Errorf("%d rows after a month, want 1", n)
		}
		time.Sleep(40 * 24 * time.Hour)
		if all, err := s.Usage(); err != nil || len(all) != 0 || rows() != 0 {
			t.Errorf("%v, %v and %d rows at a start after another, want none", all, err, rows())
		}
	})
}
