package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"reversehttp/server/gateway"
)

// shelf is a directory to serve, with a secret beside it.
func shelf(t *testing.T) string {
	t.Helper()
	top := t.TempDir()
	dir := filepath.Join(top, "public")
	for name, text := range map[string]string{
		"secret": "TOP SECRET", "publicity/x": "TOP SECRET",
		"public/a.txt": "0123456789", "public/sub/index.html": "<p>sub", "public/list/b": "b", "public/.env": "TOP SECRET", "public/.git/config": "TOP SECRET", "public/list/.hidden": "TOP SECRET",
	} {
		path := filepath.Join(top, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for link, to := range map[string]string{"out": "../secret", "away": filepath.Join(top, "secret"), "up": "..", "within": "a.txt", "loop": "loop",
		"env": ".env", "config": ".git/config", "git": ".git", "chain": "env", "sub/env": "../.env", "round": "list/../.git/config", "self": filepath.Join(dir, ".env"),
	} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestServeSupportsRangesAndConditions(t *testing.T) {
	l := lend(t, hostShape, gateway.Options{})
	r := l.claim(t, "serve", shelf(t))
	client := l.visitor(t)
	get := func(path string, fields ...string) (*http.Response, string) {
		req, err := http.NewRequest("GET", r.url+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(fields); i += 2 {
			req.Header.Set(fields[i], fields[i+1])
		}
		resp, err := client.Do(req)
		return resp, content(t, resp, err)
	}
	resp, body := get("a.txt")
	modified := resp.Header.Get("Last-Modified")
	if resp.StatusCode != 200 || body != "0123456789" || modified == "" || resp.Header.Get("Accept-Ranges") != "bytes" || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/plain") {
		t.Errorf("file = %s %q %v", resp.Status, body, resp.Header)
	}
	if resp, body := get("a.txt", "Range", "bytes=2-4"); resp.StatusCode != 206 || body != "234" || resp.Header.Get("Content-Range") != "bytes 2-4/10" {
		t.Errorf("range = %s %q %v", resp.Status, body, resp.Header)
	}
	if resp, _ := get("a.txt", "Range", "bytes=99-"); resp.StatusCode != 416 {
		t.Errorf("range beyond the end = %s", resp.Status)
	}
	if resp, _ := get("a.txt", "If-Modified-Since", modified); resp.StatusCode != 304 {
		t.Errorf("unchanged = %s", resp.Status)
	}
	if resp, body := get("a.txt", "Range", "bytes=2-4", "If-Range", time.Unix(0, 0).UTC().Format(http.TimeFormat)); resp.StatusCode != 200 || len(body) != 10 {
		t.Errorf("range of what has changed = %s %q", resp.Status, body)
	}
	if resp, body := get("sub/"); resp.StatusCode != 200 || body != "<p>sub" {
		t.Errorf("index = %s %q", resp.Status, body)
	}
	if resp, _ := get("sub"); resp.StatusCode != 301 || resp.Header.Get("Location") != "sub/" {
		t.Errorf("directory without a slash = %s %s", resp.Status, resp.Header.Get("Location"))
	}
	if resp, body := get("within"); resp.StatusCode != 200 || body != "0123456789" {
		t.Errorf("link within = %s %q", resp.Status, body)
	}
	if resp, body := get(""); resp.StatusCode != 200 || !strings.Contains(body, "a.txt") || strings.Contains(body, ".env") || strings.Contains(body, ".git") {
		t.Errorf("list = %s %q, want it without dot files", resp.Status, body)
	}
	resp, err := client.Post(r.url+"a.txt", "text/plain", strings.NewReader("x"))
	if content(t, resp, err); resp.StatusCode != 405 || resp.Header.Get("Allow") != "GET, HEAD" {
		t.Errorf("POST = %s %v", resp.Status, resp.Header)
	}
}

func TestServeHidesDotFilesAndEverythingOutsideTheDirectory(t *testing.T) {
	t.Parallel()
	for _, shape := range []string{hostShape, pathShape} {
		l := lend(t, shape, gateway.Options{})
		r := l.claim(t, "serve", shelf(t))
		host, below, _ := strings.Cut(strings.TrimPrefix(r.url, "http://"), "/")
		for _, path := range []string{
			"../secret", "..%2fsecret", "%2e%2e/secret", "%2e%2e%2fsecret", "sub/../../secret", "sub/..%2f..%2fsecret", `..\secret`, "..%5csecret", "//../secret", "/etc/passwd", "%2fetc/passwd", "..%00/secret", "a.txt%00", "../publicity/x",
			"env", "config", "git/config", "git/", "chain", "sub/env", "round", "self", "out", "away", "up/secret", "up", "loop", "pipe", "a.txt/", "a.txt/b",
			".env", ".git/config", ".git/", "%2egit/config", "list/.hidden", "sub/../.env", strings.Repeat("x", 5000), "%zz", "%",
		} {
			status, body := raw(t, l.addr, host, "GET", "/"+below+path)
			if strings.Contains(body, "TOP SECRET") || strings.Contains(body, "root:") || status == 200 || status >= 500 {
				t.Errorf("%s: GET %.40s = %d %q, want a 3xx or 4xx", shape, path, status, body)
			}
		}
	}
}

// raw sends a target unchanged.
func raw(t *testing.T, addr, host, method, target string) (int, string) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	fmt.Fprintf(c, "%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", method, target, host)
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatalf("GET %s: %v", target, err)
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b)
}

func TestServeServesDotFilesIfAsked(t *testing.T) {
	l := lend(t, hostShape, gateway.Options{})
	r := l.claim(t, "serve", shelf(t), "--dot-files")
	resp, err := l.visitor(t).Get(r.url + ".git/config")
	if got := content(t, resp, err); got != "TOP SECRET" {
		t.Errorf("file = %s %q", resp.Status, got)
	}
	resp, err = l.visitor(t).Get(r.url)
	if got := content(t, resp, err); !strings.Contains(got, ".env") {
		t.Errorf("list = %q, want dot files", got)
	}
}
