package process

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// descriptor returns a descriptor of a listener, which the caller must close.
func descriptor(t *testing.T, l interface{ File() (*os.File, error) }) string {
	t.Helper()
	file, err := l.File()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	fd, err := syscall.Dup(int(file.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	return "fd:" + strconv.Itoa(fd)
}

func TestASocketIsTakenOver(t *testing.T) {
	before, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = before.Close() }()
	early, err := net.Dial("tcp", before.Addr().String()) // a client that comes early waits for the gateway
	if err != nil {
		t.Fatal(err)
	}
	_, _ = fmt.Fprint(early, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
	p := start(t, "--listen="+descriptor(t, before.(*net.TCPListener)))
	answer := make([]byte, len("HTTP/1.1 204"))
	if _, err := io.ReadFull(early, answer); err != nil || string(answer) != "HTTP/1.1 204" {
		t.Errorf("a client from before the start got %q %v, want 204", answer, err)
	}
	if want := before.Addr().(*net.TCPAddr).Port; !strings.Contains(p.console, ":"+strconv.Itoa(want)+"/") {
		t.Errorf("console = %s, want port %d", p.console, want)
	}
	p.signals <- syscall.SIGTERM
	p.ended()
	if late, err := net.Dial("tcp", before.Addr().String()); err != nil {
		t.Errorf("a client from after the end: %v, want the socket open", err)
	} else {
		_ = late.Close()
	}
}

func TestTheErrorForASocketThatCannotBeTakenOverHasTheReason(t *testing.T) {
	local, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = local.Close() }()
	for address, says := range map[string]string{
		"fd:60000":                               "no such inherited descriptor",
		descriptor(t, local.(*net.UnixListener)): "a socket of unix",
	} {
		if _, err := listen(address); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want an error that says %q", address, err, says)
		}
	}
	for _, bad := range []string{"--listen=fd:", "--listen=fd:x", "--listen=fd:2", "--listen=fd:-1"} {
		if _, err := parse([]string{bad}); err == nil || exitCode(err) != 2 || !strings.Contains(err.Error(), "such as fd:3") {
			t.Errorf("%s: %v, want that it is refused", bad, err)
		}
	}
}

func TestAServiceManagerHandsASocketOver(t *testing.T) {
	self := strconv.Itoa(os.Getpid())
	for name, c := range map[string]struct{ pid, fds, set, want, says string }{
		"none":                     {"", "", defaultListen, defaultListen, ""},
		"one":                      {self, "1", defaultListen, "fd:3", ""},
		"none of this process":     {"1", "1", defaultListen, defaultListen, ""},
		"no sockets":               {self, "0", ":8080", ":8080", ""},
		"the flag names it":        {self, "2", "fd:4", "fd:4", ""},
		"two":                      {self, "2", defaultListen, "", "LISTEN_FDS=2: the gateway uses one socket"},
		"one beside another place": {self, "1", ":8081", "", "--listen=:8081: the gateway inherits a socket with its own address"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("LISTEN_PID", c.pid)
			t.Setenv("LISTEN_FDS", c.fds)
			o, err := parse([]string{"--listen=" + c.set})
			switch {
			case c.says != "":
				if err == nil || exitCode(err) != 2 || !strings.Contains(err.Error(), c.says) {
					t.Errorf("%v, want an error that says %q", err, c.says)
				}
			case err != nil || o.Listen != c.want:
				t.Errorf("listens on %+v %v, want %s", o, err, c.want)
			}
		})
	}
}
