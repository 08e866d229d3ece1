package store

import (
	"bytes"
	"io"
	"log/slog"
	"testing"
)

func TestASecretOutlivesTheProcess(t *testing.T) {
	dir := t.TempDir()
	read := func(purpose string) []byte {
		t.Helper()
		s, err := Open(dir, slog.New(slog.NewTextHandler(io.Discard, nil)))
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		secret, err := s.Secret(purpose)
		if err != nil || len(secret) != secretBytes {
			t.Fatalf("secret = %x %v", secret, err)
		}
		return secret
	}
	first := read("a")
	if !bytes.Equal(read("a"), first) || bytes.Equal(read("b"), first) {
		t.Error("a secret changed, or is for two purposes")
	}
}
