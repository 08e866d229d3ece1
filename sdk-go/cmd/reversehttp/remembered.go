package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/gofrs/flock"

	"reversehttp/schema"
	reversehttp "reversehttp/sdk-go"
)

// A command keeps the label and the token of its claim in the user's state directory, by gateway and target,
// or by gateway and label if one was named, so its next start has the same URL. While it runs it holds a
// lock, which the system releases with its process. Another start for the same target takes another place,
// and so has its own URL.

const (
	// The most commands for one target whose URLs are kept.
	placesMost = 16
	// How large a file may be, in bytes.
	rememberedMost = 4 << 10
)

// remembered is a place in the state directory, and its content.
type remembered struct {
	file string
	lock *flock.Flock
	// kept is whether the claim was written for the next start.
	kept bool
	name
}

// name is the content of a file. Label and Token are empty if nothing was claimed yet.
type name struct {
	Gateway string `json:"gateway"`
	// For is the target, or the label that was named.
	For   string `json:"for"`
	Label string `json:"label"`
	Token string `json:"token"`
}

// stateDir returns the directory for data that outlives a process.
func stateDir() (string, error) {
	dir, err := os.Getenv("XDG_STATE_HOME"), error(nil)
	switch {
	case filepath.IsAbs(dir):
	case runtime.GOOS == "windows":
		dir, err = os.UserCacheDir() // %LocalAppData%, which does not move to other machines
	case runtime.GOOS == "darwin":
		dir, err = os.UserConfigDir() // ~/Library/Application Support
	default:
		dir, err = os.UserHomeDir()
		dir = filepath.Join(dir, ".local", "state")
	}
	return filepath.Join(dir, "reversehttp"), err
}

// recall returns the place for a label, or for a target if no label is named, and locks it. It returns nil if
// nothing should be kept, because a token or --ephemeral was given, or if the place cannot be used, which it
// notes. The error means that another command has the label.
func (o *options) recall(label, target string, note func(string)) (*remembered, error) {
	if o.Token != "" && (label == "" || label == o.Label) || o.Ephemeral {
		return nil, nil
	}
	r, err := o.place(label, target, note)
	var busy *failure
	switch {
	case errors.As(err, &busy):
		return nil, busy
	case err != nil:
		note(fmt.Sprintf("the URL is a new one, and not kept: %s; --ephemeral keeps none, and does not say this", printable(err.Error())))
		return nil, nil
	}
	return r, nil
}

func (o *options) place(label, target string, note func(string)) (*remembered, error) {
	dir, err := privateDir()
	if err != nil {
		return nil, err
	}
	what, places := "target "+target, placesMost
	if label != "" {
		what, places = "label "+label, 1
	}
	gateway := o.Gateway
	if u, err := url.Parse(gateway); err == nil {
		gateway = strings.ToLower(u.Scheme + "://" + u.Host)
	}
	for n := range places {
		sum := sha256.Sum256(fmt.Appendf(nil, "%s\n%s\n%d", gateway, what, n))
		file := filepath.Join(dir, hex.EncodeToString(sum[:12]))
		r := &remembered{file: file + ".claim", lock: flock.New(file+".lock", flock.SetPermissions(0o600)), name: name{Gateway: gateway, For: what}}
		locked, err := r.lock.TryLock()
		switch {
		case err != nil:
			_ = r.lock.Close()
			return nil, fmt.Errorf("%s cannot be locked: %w", file+".lock", err)
		case !locked:
			_ = r.lock.Close()
			continue
		}
		if err := r.read(note); err != nil {
			r.release()
			return nil, err
		}
		if n > 0 {
			note(fmt.Sprintf("another command of yours serves %s already; this one has a URL of its own", printable(target)))
		}
		return r, nil
	}
	if label != "" {
		return nil, &failure{exitRefused, fmt.Errorf("another command of yours that runs serves the label %q; end it, or choose another --label; with a token of yours in REVERSEHTTP_TOKEN several serve one together", label)}
	}
	return nil, fmt.Errorf("%d commands of yours serve %s", placesMost, target)
}

// privateDir returns the state directory, which only the user can read.
func privateDir() (string, error) {
	dir, err := stateDir()
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	info, err := os.Stat(dir)
	if err == nil && othersMay(info) {
		err = os.Chmod(dir, 0o700)
	}
	return dir, err
}

// othersMay reports whether others may read a file or list a directory. Windows has no such permission bits.
func othersMay(info fs.FileInfo) bool {
	return runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0
}

// read reads the place of an earlier start, if there was one.
func (r *remembered) read(note func(string)) error {
	f, err := os.Open(r.file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("the remembered claim cannot be read (%w); fix its permissions, or delete it", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err == nil && othersMay(info) {
		note(fmt.Sprintf("others could read %s, which has the token of your label; only you can from now on", r.file))
		err = f.Chmod(0o600)
	}
	content, failed := io.ReadAll(io.LimitReader(f, rememberedMost+1))
	if err = errors.Join(err, failed); err != nil {
		return fmt.Errorf("the remembered claim cannot be read (%w); fix its permissions, or delete it", err)
	}
	var was name
	if err := json.Unmarshal(content, &was); err != nil || was.Label == "" || was.Token == "" || was.Gateway != r.Gateway || was.For != r.For {
		return fmt.Errorf("%s does not hold what this command keeps; delete it", r.file)
	}
	r.name = was
	return nil
}

// claim claims the label of the place, or the label in wish if the place has none, and keeps it for the next
// start. If the gateway refuses a label that was kept for a target, it claims a new one. A nil place keeps
// nothing.
func (r *remembered) claim(ctx context.Context, gateway string, wish reversehttp.Options, note func(string)) (*reversehttp.Session, error) {
	if r == nil {
		return reversehttp.Claim(ctx, gateway, &wish)
	}
	named := wish.Label
	if r.Token != "" {
		wish.Label, wish.Token = r.Label, r.Token
	}
	session, err := reversehttp.Claim(ctx, gateway, &wish)
	if r.lost(named, err, note) {
		wish.Label, wish.Token = "", ""
		session, err = reversehttp.Claim(ctx, gateway, &wish)
	}
	if err != nil {
		return nil, err
	}
	if err := r.write(session.Label(), session.Token()); err != nil {
		note(fmt.Sprintf("the URL is not kept: %s", printable(err.Error())))
		return session, nil
	}
	r.kept = true
	return session, nil
}

// keeps reports whether the next start will find the claim.
func (r *remembered) keeps() bool { return r != nil && r.kept }

func (r *remembered) write(label, token string) error {
	r.Label, r.Token = label, token
	content, err := json.Marshal(r.name)
	if err != nil {
		return err
	}
	return writePrivate(r.file, append(content, '\n'))
}

// writePrivate replaces a file with one that only its user can read.
func writePrivate(name string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), "new-*") // 0600
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}

// lost reports whether the gateway refused a label that was kept for a target, so that a new one will do; it
// then forgets the label.
func (r *remembered) lost(label string, err error, note func(string)) bool {
	var e *reversehttp.Error
	if r.Token == "" || label != "" || !errors.As(err, &e) {
		return false
	}
	why := ""
	switch e.Code {
	case schema.CodeLabelTaken, schema.CodeTokenWrong:
		why = "somebody else has it by now"
	case schema.CodeLabelReserved:
		why = "the gateway keeps it for itself, or for others"
	case schema.CodeBadToken, schema.CodeBadLabel, schema.CodeTakenDown:
		why = "the gateway no longer accepts it"
	default:
		return false
	}
	note(fmt.Sprintf("the label %q, which this had before, is lost: %s; this URL is a new one", r.Label, why))
	r.Label, r.Token = "", ""
	return true
}

// release makes the place available to other commands.
func (r *remembered) release() {
	if r != nil {
		_ = r.lock.Close()
	}
}
