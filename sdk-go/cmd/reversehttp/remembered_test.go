package main

import (
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"reversehttp/server/gateway"
)

// inState makes the commands of a test keep their claims in the test's own directory, which it returns.
func inState(t *testing.T) string {
	home := t.TempDir()
	t.Setenv("XDG_STATE_HOME", home)
	return filepath.Join(home, "reversehttp")
}

// keptIn returns the only kept file, and its content.
func keptIn(t *testing.T, dir string) (string, name) {
	t.Helper()
	names, _ := filepath.Glob(filepath.Join(dir, "*.claim"))
	if len(names) != 1 {
		t.Fatalf("%s has %q, want one file", dir, names)
	}
	content, err := os.ReadFile(names[0])
	if err != nil {
		t.Fatal(err)
	}
	var n name
	if err := json.Unmarshal(content, &n); err != nil {
		t.Fatal(err)
	}
	return names[0], n
}

// end ends a command gently.
func (r *running) end() {
	r.t.Helper()
	r.signals <- syscall.SIGTERM
	if code := r.exit(); code != exitDone {
		r.t.Errorf("the command ended with %d; stderr: %s", code, r.stderr.String())
	}
}

func TestTheNextStartHasTheSameURL(t *testing.T) {
	dir := inState(t)
	l := lend(t, hostShape, gateway.Options{})
	served := t.TempDir()
	for _, args := range [][]string{{"forward", "3000"}, {"forward", "unix:/app.sock"}, {"serve", served}, {"echo"}, {"inbox"}, {"echo", "--label=named"}} {
		first := l.claim(t, args...)
		first.end()
		again := l.claim(t, args...)
		if again.url != first.url {
			t.Errorf("%v: %s, then %s, want the same", args, first.url, again.url)
		}
		again.end()
	}
	named := l.claim(t, "inbox", "--label=named") // the label belongs to the user, whichever command serves it
	named.end()
	urls := map[string]bool{}
	for range 2 {
		r := l.claim(t, "forward", "3000", "--ephemeral")
		urls[r.url] = true
		r.end()
	}
	if r := l.claim(t, "forward", "3001"); len(urls) != 2 || urls[r.url] {
		t.Errorf("URLs are %v and %s, want three", urls, r.url)
	}
	other := lend(t, hostShape, gateway.Options{})
	other.claim(t, "forward", "3000").end()
	info, err := os.Stat(dir)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the directory is %v, %v, want 0700", info.Mode(), err)
	}
	files, _ := filepath.Glob(filepath.Join(dir, "*"))
	for _, file := range files {
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s is %v, %v, want 0600", file, info.Mode(), err)
		}
	}
}

func TestTwoCommandsForOneTargetShareNoClaim(t *testing.T) {
	inState(t)
	l := lend(t, hostShape, gateway.Options{})
	first := l.claim(t, "forward", "3000")
	second := l.claim(t, "forward", "3000")
	if first.url == second.url || !strings.Contains(second.stderr.String(), "serves http://localhost:3000 already; this one has a URL of its own") {
		t.Errorf("URLs %s and %s, stderr %q, want two and word of that", first.url, second.url, second.stderr.String())
	}
	first.end()
	second.end()
	if again := l.claim(t, "forward", "3000"); again.url != first.url {
		t.Errorf("URL is %s, want %s", again.url, first.url)
	}
	if again := l.claim(t, "forward", "3000"); again.url != second.url {
		t.Errorf("the second URL is %s, want %s", again.url, second.url)
	}
	l.claim(t, "echo", "--label=named")
	r := start(t, "inbox", "--label=named", "--gateway", l.origin)
	if code := r.exit(); code != exitRefused || !strings.Contains(r.stderr.String(), "another command of yours that runs serves the label") {
		t.Errorf("code %d, stderr %q, want word of the other command", code, r.stderr.String())
	}
}

func TestALostLabelIsReplacedByANewOne(t *testing.T) {
	dir := inState(t)
	l := lend(t, hostShape, gateway.Options{})
	l.claim(t, "echo").end()
	file, was := keptIn(t, dir)
	was.Token = "the-token-of-nobody-here"
	content, _ := json.Marshal(was)
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	r := l.claim(t, "echo")
	if strings.Contains(r.url, was.Label) || !strings.Contains(r.stderr.String(), "is lost: somebody else has it by now; this URL is a new one") {
		t.Errorf("URL %s, stderr %q, want a new one and word of it", r.url, r.stderr.String())
	}
	r.end()
	again := l.claim(t, "echo")
	if again.url != r.url {
		t.Errorf("URL is %s then, want %s", again.url, r.url)
	}
	again.end()
	// A gateway that forgot the claim gets it again.
	l.stop()
	fresh := lendAt(t, l.addr, "http://{label}.localhost:{port}/", gateway.Options{})
	if again := fresh.claim(t, "echo"); again.url != r.url {
		t.Errorf("URL is %s at a gateway that forgot it, want %s", again.url, r.url)
	}
}

func TestAnUnreadableFileIsReportedAndLeftUnchanged(t *testing.T) {
	for name, spoil := range map[string]func(file string) error{
		"does not hold what this command keeps; delete it": func(file string) error { return os.WriteFile(file, []byte("{"), 0o600) },
		"cannot be read": func(file string) error {
			if err := os.Remove(file); err != nil {
				return err
			}
			return os.Mkdir(file, 0o700)
		},
	} {
		dir := inState(t)
		l := lend(t, hostShape, gateway.Options{})
		l.claim(t, "echo").end()
		file, was := keptIn(t, dir)
		if err := spoil(file); err != nil {
			t.Fatal(err)
		}
		r := l.claim(t, "echo")
		if got := r.stderr.String(); strings.Contains(r.url, was.Label) || !strings.Contains(got, name) || !strings.Contains(got, file) || !strings.Contains(got, "--ephemeral") {
			t.Errorf("URL %s, stderr %q, want a new one and %q", r.url, got, name)
		}
		r.end()
	}
}

func TestFilesThatOthersCanReadBecomePrivate(t *testing.T) {
	dir := inState(t)
	l := lend(t, hostShape, gateway.Options{})
	first := l.claim(t, "echo")
	first.end()
	file, _ := keptIn(t, dir)
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	r := l.claim(t, "echo")
	if r.url != first.url || !strings.Contains(r.stderr.String(), "others could read "+file) {
		t.Errorf("URL %s, stderr %q, want %s and a warning", r.url, r.stderr.String(), first.url)
	}
	r.end()
	for path, want := range map[string]os.FileMode{file: 0o600, dir: 0o700} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s is %v, %v, want %v", path, info.Mode().Perm(), err, want)
		}
	}
}

func TestAGivenTokenTakesPrecedenceAndIsNotStored(t *testing.T) {
	dir := inState(t)
	l := lend(t, hostShape, gateway.Options{})
	l.claim(t, "echo", "--label=mine", "--token=something-long-and-secret").end()
	if names, _ := filepath.Glob(filepath.Join(dir, "*")); len(names) > 0 {
		t.Errorf("%q is kept", names)
	}
	if r := l.claim(t, "inbox", "--label=mine", "--token=something-long-and-secret"); !strings.Contains(r.url, "mine") {
		t.Errorf("URL is %s", r.url)
	}
}

func TestSecretsComeFromFiles(t *testing.T) {
	l := lend(t, hostShape, gateway.Options{Keys: []string{"the key of a user"}})
	dir := t.TempDir()
	file := func(name, content string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	token, key := file("token", "something-long-and-secret\n", 0o600), file("key", "the key of a user", 0o644)
	r := l.claim(t, "echo", "--label=filed", "--token-file", token, "--key-file", key)
	if got := r.stderr.String(); !strings.Contains(got, "others can read "+key) || strings.Contains(got, token) {
		t.Errorf("stderr %q, want a warning of %s only", got, key)
	}
	l.claim(t, "inbox", "--label=filed", "--token=something-long-and-secret", "--key=the key of a user")
	for _, args := range [][]string{
		{"--token-file", file("empty", "\n", 0o600)}, {"--token-file", file("two", "a\nb\n", 0o600)}, {"--token-file", filepath.Join(dir, "none")}, {"--token-file", token, "--token=another"},
	} {
		r := start(t, append([]string{"echo", "--gateway", l.origin}, args...)...)
		if code := r.exit(); code != exitUsage || strings.Contains(r.stderr.String(), "secret-") {
			t.Errorf("%v: code %d, stderr %q, want %d", args, code, r.stderr.String(), exitUsage)
		}
	}
}

// A relative directory would be in the command's working directory, and perhaps served.
func TestARelativeRuntimeDirectoryIsIgnored(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("XDG_CACHE_HOME", "")
	t.Setenv("XDG_RUNTIME_DIR", ".")
	if dir, err := ownedDir(); err != nil || !filepath.IsAbs(dir) {
		t.Errorf("ownedDir() = %q, %v, want one in the home", dir, err)
	}
}

func TestASignalEndsTheWaitForASecret(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	signals := make(chan os.Signal, 1)
	signals <- os.Interrupt
	if code := run([]string{"echo", "--token-file", pipe}, signals, io.Discard, io.Discard); code != exitDone {
		t.Errorf("exit code = %d, want %d", code, exitDone)
	}
	writer, err := os.OpenFile(pipe, os.O_WRONLY, 0) // releases the reader
	if err != nil {
		t.Fatal(err)
	}
	writer.Close()
}
