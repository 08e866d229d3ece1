package main

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The committed files are what the pinned packages make, byte for byte.
func TestTheFilesOfVendorAreUpToDate(t *testing.T) {
	if _, err := os.Stat("../../node_modules"); err != nil {
		t.Skip("node_modules is missing: run npm ci")
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][]byte{}
	for name, exports := range libraries {
		files, err := build(root, name, exports)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		maps.Copy(want, files)
	}
	entries, err := os.ReadDir("../vendor")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		got, err := os.ReadFile(filepath.Join("../vendor", e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want[e.Name()]) {
			t.Errorf("vendor/%s has %d bytes, want other %d: run go generate ./web", e.Name(), len(got), len(want[e.Name()]))
		}
		delete(want, e.Name())
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		t.Errorf("vendor/%s is missing: run go generate ./web", name)
	}
}

// This needs no npm: each module names its packages, and has their licences beside it.
func TestEveryModuleOfVendorHasItsLicences(t *testing.T) {
	for name := range libraries {
		js, err := os.ReadFile("../vendor/" + name + ".js")
		if err != nil {
			t.Fatal(err)
		}
		licences, err := os.ReadFile("../vendor/" + name + ".txt")
		if err != nil {
			t.Fatal(err)
		}
		head, _, _ := strings.Cut(string(js), "\n")
		_, inside, _ := strings.Cut(head, "It has ")
		inside, _, _ = strings.Cut(inside, ". Their licences")
		for _, p := range strings.Split(inside, ", ") {
			_, text, found := strings.Cut(string(licences), p+"\n\n")
			if !found || !strings.Contains(text, "icense") && !strings.Contains(text, "Permission") {
				t.Errorf("%s.txt has no licence of %q", name, p)
			}
		}
	}
}

func TestThePackageOfAFile(t *testing.T) {
	for file, want := range map[string]string{
		"node_modules/zod/v4/index.js":                "node_modules/zod",
		"node_modules/@codemirror/view/dist/index.js": "node_modules/@codemirror/view",
		"node_modules/a/node_modules/@b/c/index.js":   "node_modules/a/node_modules/@b/c",
		"mcp.js": "",
	} {
		if got := folderOf(file); got != want {
			t.Errorf("folderOf(%s) = %q, want %q", file, got, want)
		}
	}
}
