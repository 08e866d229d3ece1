package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"reversehttp/server/admin"
	"reversehttp/server/claim"
)

// adminPort is the address of --admin-listen.
type adminPort struct {
	net.Listener
	key  string
	name string // the host name in --admin-listen, or empty
	file string // of a Unix socket; empty for TCP
	port *admin.Port
}

// adminLast is how long calls of the operator may still run after the gateway has stopped.
const adminLast = time.Second

// openAdmin listens on the address of --admin-listen. It returns nil if there is none.
func (o *options) openAdmin() (*adminPort, error) {
	if o.AdminListen == "" {
		return nil, nil
	}
	a := &adminPort{}
	var err error
	if a.key, err = o.adminKey(); err != nil {
		return nil, o.wrong(err)
	}
	if path, unix := strings.CutPrefix(o.AdminListen, "unix:"); unix {
		a.file = path
		if a.Listener, err = listenUnix(path); err != nil {
			return nil, fmt.Errorf("--admin-listen=%s: %w", o.AdminListen, err)
		}
		return a, nil
	}
	if a.name, _, err = net.SplitHostPort(o.AdminListen); err != nil {
		return nil, o.wrong(fmt.Errorf("--admin-listen=%s: give an address such as 127.0.0.1:9090, or unix:/run/reversehttp/admin.sock", o.AdminListen))
	}
	l, err := net.Listen("tcp", o.AdminListen)
	if err != nil {
		return nil, fmt.Errorf("--admin-listen=%s: %w; choose another address, such as 127.0.0.1:9091", o.AdminListen, err)
	}
	if a.key == "" && !l.Addr().(*net.TCPAddr).IP.IsLoopback() {
		_ = l.Close()
		return nil, o.wrong(fmt.Errorf("--admin-listen=%s: others can reach this address; set --admin-key-file to a file with a key that every call must show, or listen on 127.0.0.1 or unix:/path", o.AdminListen))
	}
	a.Listener = l
	return a, nil
}

// mostKey bounds the file of --admin-key-file, in bytes.
const mostKey = 4 << 10

// adminKey reads the key in --admin-key-file. It is empty if there is no file.
func (o *options) adminKey() (string, error) {
	if o.AdminKeyFile == "" {
		return "", nil
	}
	f, err := os.Open(o.AdminKeyFile)
	if err != nil {
		return "", fmt.Errorf("--admin-key-file=%s: %w", o.AdminKeyFile, err)
	}
	defer func() { _ = f.Close() }()
	content, err := io.ReadAll(io.LimitReader(f, mostKey))
	key := strings.TrimSpace(string(content))
	if err == nil && (!claim.ValidToken(key) || len(key) < claim.ShortestToken) {
		err = fmt.Errorf("it must hold one key of %d to 256 letters, digits and -._~+/= characters; make one with openssl rand -hex 16", claim.ShortestToken)
	}
	if err != nil {
		return "", fmt.Errorf("--admin-key-file=%s: %w", o.AdminKeyFile, err)
	}
	return key, nil
}

// listenUnix listens on a Unix socket that only this user can open. It replaces one that another
// process left behind.
func listenUnix(path string) (net.Listener, error) {
	if c, err := net.Dial("unix", path); err == nil {
		_ = c.Close()
		return nil, errors.New("another process listens there; stop it, or choose another path")
	}
	if info, err := os.Lstat(path); err == nil && info.Mode()&os.ModeSocket == 0 {
		return nil, errors.New("the file exists and is not a socket; choose another path")
	}
	// The socket is created in a private directory, so that it never has the permissions of the
	// umask.
	dir, err := os.MkdirTemp(filepath.Dir(path), ".rh")
	if err != nil {
		return nil, fmt.Errorf("%w; choose a path in a directory that this user may write to", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	made := filepath.Join(dir, "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: made, Net: "unix"})
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false) // the name has changed by then
	if err = os.Chmod(made, 0o600); err == nil {
		err = os.Rename(made, path)
	}
	if err != nil {
		_ = l.Close()
		return nil, err
	}
	return l, nil
}

// where returns the address in the form that callers use.
func (a *adminPort) where() string {
	if a.file != "" {
		return "unix:" + a.file
	}
	return a.Addr().String()
}

// serve serves the operator's API of a gateway.
func (a *adminPort) serve(api *admin.API, log *slog.Logger) {
	if a == nil {
		return
	}
	a.port = admin.NewPort(api, admin.Options{Key: a.key, Name: a.name})
	a.port.Serve(a.Listener)
	log.Info("serving the operator", "admin_listen", a.where(), "key_needed", a.key != "")
}

// close ends the port.
func (a *adminPort) close() {
	if a == nil {
		return
	}
	if a.port != nil {
		ctx, cancel := context.WithTimeout(context.Background(), adminLast)
		defer cancel()
		a.port.Close(ctx)
	}
	_ = a.Listener.Close()
	if a.file != "" {
		_ = os.Remove(a.file)
	}
}
