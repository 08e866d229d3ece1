package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// packaged returns a Debian package whose program does nothing.
func packaged(t *testing.T) []byte {
	t.Helper()
	said := texts{[]byte(".TH REVERSEHTTP 1\n"), []byte("bash"), []byte("zsh"), []byte("fish")}
	files, err := installed(rootOf(t), said, []byte("#!/bin/sh\n"))
	if err != nil {
		t.Fatal(err)
	}
	packed, err := deb("1.2.3", platform{"linux", "arm64"}, files)
	if err != nil {
		t.Fatal(err)
	}
	return packed
}

// runs runs a program and returns its output; the test is skipped if the program is not installed.
func runs(t *testing.T, name string, args ...string) string {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Skipf("there is no %s here", name)
	}
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}

func TestDebianAcceptsThePackage(t *testing.T) {
	packed := packaged(t)
	if again := packaged(t); !bytes.Equal(packed, again) {
		t.Error("two packages of the same files differ")
	}
	path, root := filepath.Join(t.TempDir(), "x.deb"), t.TempDir()
	if err := os.WriteFile(path, packed, 0o644); err != nil {
		t.Fatal(err)
	}
	said := strings.Fields(runs(t, "dpkg-deb", "--show", "--showformat", "${Package} ${Version} ${Architecture}", path))
	if !slices.Equal(said, []string{"reversehttp", "1.2.3", "arm64"}) {
		t.Errorf("it says %v", said)
	}
	runs(t, "dpkg-deb", "--extract", path, root)
	for _, name := range []string{conffile, "usr/bin/reversehttp", "usr/share/man/man1/reversehttp.1", "usr/share/bash-completion/completions/reversehttp"} {
		if info, err := os.Stat(filepath.Join(root, name)); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	if info, err := os.Stat(filepath.Join(root, "usr/bin/reversehttp")); err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("the program has the mode %v, %v", info, err)
	}
	for _, name := range documents {
		want, err := os.ReadFile(filepath.Join(rootOf(t), filepath.FromSlash(name)))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(filepath.Join(root, docs, name)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s%s is not the document of the repository: %v", docs, name, err)
		}
	}
	unit, err := os.ReadFile(filepath.Join(root, "usr/lib/systemd/system/reversehttp.service"))
	if err != nil || !strings.Contains(string(unit), "ExecStart=/usr/bin/reversehttp gateway --config /"+conffile+"\n") {
		t.Errorf("the unit starts something that is not in the package: %v", err)
	}
	control := filepath.Join(t.TempDir(), "control")
	runs(t, "dpkg-deb", "--control", path, control)
	if listed, err := os.ReadFile(filepath.Join(control, "conffiles")); err != nil || string(listed) != "/"+conffile+"\n" {
		t.Errorf("conffiles = %q, %v", listed, err)
	}
}

func TestSystemdUnderstandsTheUnits(t *testing.T) {
	// systemd-analyze checks that the programs of the units exist, so the units name an existing program.
	dir := t.TempDir()
	for _, name := range []string{"reversehttp.service", "reversehttp.socket"} {
		content, err := os.ReadFile(filepath.Join(rootOf(t), "server", "deploy", name))
		if err != nil {
			t.Fatal(err)
		}
		content = bytes.ReplaceAll(content, []byte("/usr/bin/reversehttp"), []byte("/bin/sh"))
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if out := runs(t, "systemd-analyze", "--man=no", "verify", filepath.Join(dir, "reversehttp.service"), filepath.Join(dir, "reversehttp.socket")); out != "" {
		t.Errorf("systemd-analyze: %s", out)
	}
}
