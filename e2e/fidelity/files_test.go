package fidelity

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestFileServerGivesTheSameVerdict(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	old := time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC)
	for name, content := range map[string]string{
		"a.txt": "0123456789", "empty": "", "é ;%.html": "<!doctype html>", "no-type": "\x89PNG\r\n\x1a\n", "large.bin": strings.Repeat("\x00\xff0123456789abcd", 200_000),
		"site/index.html": "<!doctype html><title>x</title>", "list/b.txt": "b", "list/<c>.txt": "c", "list/sub/d": "d",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, old, old); err != nil {
			t.Fatal(err)
		}
	}
	direct, through := twice(t, etag(http.FileServer(http.Dir(dir))))
	before, after := old.Add(-time.Hour).Format(http.TimeFormat), old.Format(http.TimeFormat)
	for _, request := range []string{
		"GET /", "HEAD /", "GET /list", "GET /list/", "HEAD /list/", "GET /list/sub/", "GET /site", "GET /site/", "GET /site/index.html", "GET /index.html", "HEAD /site/index.html", "GET /site/index.html?a=b",
		"GET /a.txt", "HEAD /a.txt", "GET /a.txt/", "GET /none", "HEAD /none", "GET /empty", "HEAD /empty", "GET /%C3%A9%20%3B%25.html", "GET /é%20;%25.html", "GET /no-type", "POST /a.txt\n\nx", "OPTIONS /a.txt",
		"GET /../a.txt", "GET /list/../a.txt", "GET /list//b.txt", "GET /list/%2e%2e/a.txt", "GET /list%2Fb.txt", "GET /a.txt%00", "GET /list/%3Cc%3E.txt", "GET /large.bin", "HEAD /large.bin",
		"GET /a.txt\nRange: bytes=2-4", "GET /a.txt\nRange: bytes=0-0", "GET /a.txt\nRange: bytes=4-", "GET /a.txt\nRange: bytes=-3", "GET /a.txt\nRange: bytes=-99", "GET /a.txt\nRange: bytes=0-99",
		"GET /a.txt\nRange: bytes=0-1,4-5", "GET /a.txt\nRange: bytes=0-1, 4-5, -1", "GET /a.txt\nRange: bytes=5-6,0-1", "GET /a.txt\nRange: bytes=0-9,0-9", "GET /a.txt\nRange: bytes=10-", "GET /a.txt\nRange: bytes=99-100,1-2",
		"GET /a.txt\nRange: bytes=4-2", "GET /a.txt\nRange: bytes=a-b", "GET /a.txt\nRange: bytes=", "GET /a.txt\nRange: lines=1-2", "GET /empty\nRange: bytes=0-1", "GET /empty\nRange: bytes=-1", "HEAD /a.txt\nRange: bytes=2-4", "HEAD /a.txt\nRange: bytes=99-",
		"GET /large.bin\nRange: bytes=1-3000000", "GET /large.bin\nRange: bytes=65536-131072", "GET /large.bin\nRange: bytes=-65537", "GET /large.bin\nRange: bytes=0-999999,2000000-2999999", "HEAD /large.bin\nRange: bytes=0-999999,2000000-2999999",
		"GET /a.txt\nRange: bytes=2-4\nIf-Range: " + after, "GET /a.txt\nRange: bytes=2-4\nIf-Range: " + before, "GET /a.txt\nRange: bytes=2-4\nIf-Range: \"tag\"", "GET /a.txt\nRange: bytes=2-4\nIf-Range: W/\"tag\"", "GET /a.txt\nRange: bytes=2-4\nIf-Range: \"other\"",
		"GET /a.txt\nIf-Modified-Since: " + after, "GET /a.txt\nIf-Modified-Since: " + before, "GET /a.txt\nIf-Modified-Since: x", "HEAD /a.txt\nIf-Modified-Since: " + after, "GET /list/\nIf-Modified-Since: " + after,
		"GET /a.txt\nIf-Unmodified-Since: " + after, "GET /a.txt\nIf-Unmodified-Since: " + before, "GET /a.txt\nIf-Match: \"tag\"", "GET /a.txt\nIf-Match: \"other\"", "GET /a.txt\nIf-Match: *",
		"GET /a.txt\nIf-None-Match: \"tag\"", "GET /a.txt\nIf-None-Match: W/\"tag\"", "GET /a.txt\nIf-None-Match: \"a\", \"tag\"", "GET /a.txt\nIf-None-Match: *", "GET /a.txt\nIf-None-Match: \"other\"", "HEAD /a.txt\nIf-None-Match: \"tag\"",
		"GET /a.txt\nIf-None-Match: \"other\"\nIf-Modified-Since: " + after, "GET /large.bin\nIf-None-Match: \"tag\"", "GET /large.bin\nRange: bytes=1-2\nIf-None-Match: \"tag\"", "GET /a.txt\nAccept-Encoding: gzip",
	} {
		sameVerdict(t, direct, through, row{request: request})
	}
}

// etag sends the same tag for every file, because the FileServer compares tags but makes none.
func etag(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Etag", `"tag"`)
		h.ServeHTTP(w, r)
	})
}
