package account

import (
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Directory has the accounts of a file as it is now. Nil has none.
type Directory struct {
	path string
	log  *slog.Logger
	now  atomic.Pointer[Accounts]

	mu    sync.Mutex // guards below
	state string     // of the file, when it was read last
}

// LookEvery is how long a change of a file may go unseen.
const LookEvery = 10 * time.Second

// Open reads the accounts of a file.
func Open(path string, log *slog.Logger) (*Directory, error) {
	d := &Directory{path: path, log: log}
	if _, err := d.read(); err != nil {
		return nil, err
	}
	return d, nil
}

// Of returns a directory of accounts that come from no file.
func Of(a *Accounts) *Directory {
	d := &Directory{}
	d.now.Store(a)
	return d
}

// Accounts returns those there are now; nil for none.
func (d *Directory) Accounts() *Accounts {
	if d == nil {
		return nil
	}
	return d.now.Load()
}

// Look reads the file again where it changed. A file that is wrong, or half written, changes nothing, and the log says so once.
func (d *Directory) Look() {
	if d == nil || d.path == "" {
		return
	}
	if changed, err := d.read(); err != nil && changed {
		d.log.Warn("accounts not read again, those from before stay", "file", d.path, "error", err.Error())
	}
}

// read reads the file where it changed, and reports whether it did.
func (d *Directory) read() (changed bool, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	state := "gone"
	info, err := os.Stat(d.path)
	if err == nil {
		state = fmt.Sprintln(info.ModTime().UnixNano(), info.Size())
	}
	if state == d.state {
		return false, err
	}
	d.state = state
	if err != nil {
		return true, err
	}
	content, err := os.ReadFile(d.path)
	if err != nil {
		return true, err
	}
	a, err := Parse(content)
	if err != nil {
		return true, err
	}
	d.now.Store(a)
	d.log.Info("accounts read", "file", d.path, "accounts", len(a.list), "strangers", a.strangers)
	return true, nil
}

// Holder is who claims: whoever shows a key of an account. The zero value is a stranger.
type Holder struct {
	// Name is that of the account; empty where it has none.
	Name string
	// Lease is the longest that the holder may ask for. Zero means 24 h.
	Lease time.Duration
}

// Holder returns who shows a secret, and whether it is a key.
func (d *Directory) Holder(secret string) (Holder, bool) {
	one := d.Accounts().ByKey(secret)
	if one == nil {
		return Holder{}, false
	}
	return Holder{Name: one.Name, Lease: one.Lease()}, true
}

// LeaseOf returns the longest lease of the claims of an account, by its name.
func (d *Directory) LeaseOf(name string) time.Duration { return d.Accounts().Named(name).Lease() }
