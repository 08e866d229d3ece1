package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"reversehttp/server/account"
)

func TestAKeyIsPrintedOnceAndItsHashIsStored(t *testing.T) {
	file := filepath.Join(t.TempDir(), "accounts.json")
	mint := func(args ...string) string {
		t.Helper()
		var stdout, stderr buffer
		if code := run(append([]string{"admin", "key", "new"}, args...), nil, &stdout, &stderr); code != 0 {
			t.Fatalf("%v = %d %s", args, code, stderr.String())
		}
		return stdout.String()
	}
	first := strings.TrimSpace(mint("ann", "--accounts", file, "--labels", "ann,ann-*"))
	second := strings.TrimSpace(mint("ann", "--accounts", file))
	bob := strings.TrimSpace(mint("bob", "--accounts", file))
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	all, err := account.Parse(content)
	if err != nil {
		t.Fatal(err)
	}
	for key, name := range map[string]string{first: "ann", second: "ann", bob: "bob"} {
		if a := all.ByKey(key); a == nil || a.Name != name || strings.Contains(string(content), key) {
			t.Errorf("%s belongs to %v, want %s; the file is %s", key, a, name, content)
		}
	}
	if all.May("bob", "ann-1") || !all.May("ann", "ann-1") {
		t.Errorf("the labels of ann are not its own: %s", content)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file is %v, %v", info.Mode(), err)
	}

	key, entry, _ := strings.Cut(mint("carl"), "\n")
	var a account.Account
	if err := json.Unmarshal([]byte(entry), &a); err != nil || a.Name != "carl" || len(a.Keys) != 1 || a.Keys[0] != account.Hash(key) {
		t.Errorf("the entry is %s, %v; want the hash of %s", entry, err, key)
	}
}

func TestAnInvalidAccountIsRefused(t *testing.T) {
	bad := filepath.Join(t.TempDir(), "bad.json")
	if err := os.WriteFile(bad, []byte(`{"accounts":[{"name":"ann","label":["a"]}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for args, want := range map[string]int{"a:b": exitUsage, "ann --labels=A": exitUsage, "ann --accounts=" + bad: exitFailed} {
		var stdout, stderr buffer
		if code := run(append([]string{"admin", "key", "new"}, strings.Fields(args)...), nil, &stdout, &stderr); code != want || stdout.String() != "" || stderr.String() == "" {
			t.Errorf("%s = %d %q %q, want %d and no key", args, code, stdout.String(), stderr.String(), want)
		}
	}
	if content, _ := os.ReadFile(bad); !strings.Contains(string(content), `"label":`) {
		t.Errorf("the file is now %s", content)
	}
}
