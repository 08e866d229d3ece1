package gateway

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"reversehttp/schema"
	"reversehttp/server/claim"
)

// fullDisk are records that refuse changes while they are full.
type fullDisk struct {
	claim.Records
	full atomic.Bool
}

func (f *fullDisk) err() error {
	if f.full.Load() {
		return errors.New("no space left on device")
	}
	return nil
}

func (f *fullDisk) Create(ctx context.Context, r claim.Record) (uint64, error) {
	if err := f.err(); err != nil {
		return 0, err
	}
	return f.Records.Create(ctx, r)
}

func (f *fullDisk) Update(ctx context.Context, r claim.Record, revision uint64) (uint64, error) {
	if err := f.err(); err != nil {
		return 0, err
	}
	return f.Records.Update(ctx, r, revision)
}

func (f *fullDisk) Delete(ctx context.Context, label string, revision uint64) error {
	if err := f.err(); err != nil {
		return err
	}
	return f.Records.Delete(ctx, label, revision)
}

func TestAChangeThatCannotBeStoredIsUnavailable(t *testing.T) {
	disk := &fullDisk{Records: claim.NewMemoryRecords()}
	inWorld(t, Options{Records: disk}, func(w *world) {
		one := w.claim("demo")
		disk.full.Store(true)
		for _, c := range []struct {
			method, url, token string
			content            any
		}{
			{"POST", "/claims", "", schema.ClaimRequest{Label: new("new")}},
			{"POST", "/claims", "", nil},
			{"POST", "/claims", "", schema.ClaimRequest{Label: new("demo"), Token: &one.Token, Lease: new(7)}},
			{"PATCH", "/claims/demo", one.Token, schema.ClaimPatch{Token: new("another-token-of-9")}},
			{"DELETE", "/claims/demo", one.Token, nil},
		} {
			got := w.send(c.method, c.url, c.token, c.content)
			if got.Status != 503 || got.code() != schema.CodeUnavailable || got.Header.Get("Retry-After") == "" {
				t.Errorf("%s %s %+v = %d %s %v, want 503 unavailable", c.method, c.url, c.content, got.Status, got.Content, got.Header)
			}
		}
		if got := w.send("GET", "/claims/demo", one.Token, nil); got.Status != 200 {
			t.Errorf("the claim = %d %s, want it unchanged", got.Status, got.Content)
		}
		if got := w.visit(get("new.localhost:8080", "/")).await(); got.code() != schema.CodeNoClaim {
			t.Errorf("a visitor of the new claim got %d %s, want no_claim", got.Status, got.Content)
		}
		disk.full.Store(false)
		for _, c := range []struct {
			method, url, token string
			content            any
			want               int
		}{
			{"POST", "/claims", "", schema.ClaimRequest{Label: new("new")}, 201},
			{"PATCH", "/claims/demo", one.Token, schema.ClaimPatch{Token: new("another-token-of-9")}, 200},
			{"DELETE", "/claims/demo", "another-token-of-9", nil, 204},
		} {
			if got := w.send(c.method, c.url, c.token, c.content); got.Status != c.want {
				t.Errorf("%s %s %+v = %d %s, want %d", c.method, c.url, c.content, got.Status, got.Content, c.want)
			}
		}
	})
}
