package process

import (
	"bytes"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestSecretsComeFromFiles(t *testing.T) {
	dir := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	o, err := parse([]string{
		"--claim-keys=one", "--claim-keys-file", file("keys", "# of the team\ntwo\n\n  three \r\n"),
		"--family-device-file", file("devices", "demo=9f86d081884c7d659a2feaa0c55ad015\n"),
	})
	if err != nil {
		t.Fatal(err)
	}
	g, err := o.gateway(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8081}, slog.New(slog.DiscardHandler))
	if err != nil || !slices.Equal(g.Keys, []string{"one", "two", "three"}) || g.Owned["demo"] != "9f86d081884c7d659a2feaa0c55ad015" {
		t.Errorf("keys %q, devices %v, %v", g.Keys, g.Owned, err)
	}
	for _, flag := range []string{"--claim-keys-file", "--family-device-file"} {
		for _, name := range []string{file("empty", ""), file("comment", "# none\n"), filepath.Join(dir, "absent"), dir} {
			if _, err := parse([]string{flag, name}); err == nil || !strings.Contains(err.Error(), flag+"="+name) {
				t.Errorf("%s %s: %v, want an error that names both: a gateway without keys is open to all", flag, name, err)
			}
		}
	}
}

// A pipe can be read only once, as with the shell's --claim-keys-file <(program).
func TestSecretsAreReadOnce(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	if _, err := w.WriteString("one\n"); err != nil {
		t.Fatal(err)
	}
	_ = w.Close()
	o, err := parse([]string{"--public", fmt.Sprintf("--claim-keys-file=/dev/fd/%d", r.Fd())})
	if err != nil || !slices.Equal(o.ClaimKeys, []string{"one"}) || o.MaxSessions != 8 {
		t.Errorf("parse with --public: %v; want the key of the pipe, and 8 sessions", err)
	}
}

func TestFilesWithSecretsThatOthersMayReadWarn(t *testing.T) {
	dir := t.TempDir()
	for _, flag := range []string{"--claim-keys-file", "--family-device-file", "--config"} {
		for mode, want := range map[os.FileMode]bool{0o600: false, 0o640: true, 0o604: true} {
			path := filepath.Join(dir, "secrets")
			content := "demo=9f86d081884c7d659a2feaa0c55ad015"
			if flag == "--config" {
				content = `{"claim-keys":"k"}`
			}
			if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(path, mode); err != nil {
				t.Fatal(err)
			}
			o, err := parse([]string{flag, path})
			if err != nil {
				t.Fatal(err)
			}
			var log bytes.Buffer
			o.warnOfOpenFiles(slog.New(slog.NewTextHandler(&log, nil)))
			if got := log.String(); strings.Contains(got, path) != want || strings.Contains(got, "9f86") {
				t.Errorf("%s of mode %v: log %q, want a warning: %v", flag, mode, got, want)
			}
		}
	}
}
