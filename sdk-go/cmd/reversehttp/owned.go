package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
)

// While a command serves, a file that only its user can read holds its claim and token. So inspect,
// replay and mcp of the same user find it without being given a token.

// owned is the content of such a file.
type owned struct {
	Gateway string `json:"gateway"`
	Label   string `json:"label"`
	Token   string `json:"token"`
	Process int    `json:"process"`
}

// ownedDir returns the directory of these files: the runtime directory of the user's session if
// there is one, which ends with the session.
func ownedDir() (string, error) {
	if dir := os.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(dir) { // a relative path is invalid, and could be inside a served directory
		return filepath.Join(dir, "reversehttp"), nil
	}
	dir, err := os.UserCacheDir()
	return filepath.Join(dir, "reversehttp", "claims"), err
}

// keep writes the file, and returns a function that removes it.
func (c owned) keep() (remove func(), err error) {
	remove = func() {}
	dir, err := ownedDir()
	if err != nil {
		return remove, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return remove, err
	}
	content, err := json.Marshal(c)
	if err != nil {
		return remove, err
	}
	sum := sha256.Sum256(content)
	name := filepath.Join(dir, hex.EncodeToString(sum[:8])+".json")
	if err := writePrivate(name, content); err != nil {
		return remove, err
	}
	return func() { _ = os.Remove(name) }, nil
}

// allOwned returns the claims of running commands, sorted by label, and removes the files of
// commands that were killed.
func allOwned() []owned {
	dir, err := ownedDir()
	if err != nil {
		return nil
	}
	names, _ := filepath.Glob(filepath.Join(dir, "*.json"))
	var all []owned
	for _, name := range names {
		var c owned
		content, err := os.ReadFile(name)
		if err != nil || json.Unmarshal(content, &c) != nil {
			continue
		}
		if !runs(c.Process) {
			_ = os.Remove(name)
			continue
		}
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b owned) int { return strings.Compare(a.Label, b.Label) })
	return all
}

// runs reports whether a process is running.
func runs(process int) bool {
	p, err := os.FindProcess(process)
	if err != nil || runtime.GOOS == "windows" {
		return err == nil
	}
	err = p.Signal(syscall.Signal(0))
	return err == nil || errors.Is(err, syscall.EPERM)
}

// own returns the claim whose recordings are meant: that of the named label, with the given token
// or that of a running command of this user; or, without a label, that of the only running command.
// Its error says how to start one.
func (o *options) own(label, start string) (owned, error) {
	if label == "" {
		label = o.Label
	}
	if label != "" && o.Token != "" {
		return owned{Gateway: o.Gateway, Label: label, Token: o.Token}, nil
	}
	var here, elsewhere []owned
	for _, c := range allOwned() {
		same := func(d owned) bool { return d.Gateway == c.Gateway && d.Label == c.Label }
		switch {
		case label != "" && c.Label != label:
		case sameOrigin(c.Gateway, o.Gateway):
			if !slices.ContainsFunc(here, same) {
				here = append(here, c)
			}
		case !slices.ContainsFunc(elsewhere, same):
			elsewhere = append(elsewhere, c)
		}
	}
	if len(here) == 0 && o.Gateway == defaultGateway { // the default
		here, elsewhere = elsewhere, nil
	}
	switch {
	case len(here) == 1:
		return here[0], nil
	case len(here) > 1:
		return owned{}, fmt.Errorf("several commands run here: %s; name a label, and its --gateway where it is served at several", labels(here))
	case len(elsewhere) > 0:
		return owned{}, fmt.Errorf("nothing of yours runs at %s, but %s does; name its --gateway", printable(o.Gateway), labels(elsewhere))
	case label != "":
		return owned{}, fmt.Errorf("no command of yours that runs here serves %q; give the token that owns it, or one that may look, in REVERSEHTTP_TOKEN", printable(label))
	}
	return owned{}, fmt.Errorf("nothing of yours runs here; %s; or name a label, and give its token in REVERSEHTTP_TOKEN", start)
}

func labels(all []owned) string {
	var b strings.Builder
	for i, c := range all {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(printable(c.Label) + " at " + printable(c.Gateway))
	}
	return b.String()
}

func sameOrigin(a, b string) bool { return strings.TrimRight(a, "/") == strings.TrimRight(b, "/") }
