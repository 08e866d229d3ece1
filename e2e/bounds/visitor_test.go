package bounds

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"syscall"
	"testing"
)

// visitor is a connection that sent one request.
type visitor struct {
	net.Conn
	reader *bufio.Reader
}

// small limits the buffers of a socket. On loopback the kernel would buffer megabytes of each stream, and the
// slowness of one end would never reach the other.
func small(_, _ string, c syscall.RawConn) error {
	return c.Control(func(fd uintptr) {
		_ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, piece)
		_ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_SNDBUF, piece)
	})
}

// visit sends the head of a request to a public URL, with fields given as lines.
func visit(t *testing.T, public, method, target, fields string) *visitor {
	t.Helper()
	u, err := url.Parse(public)
	if err != nil {
		t.Fatal(err)
	}
	d := net.Dialer{Control: small}
	c, err := d.Dial("tcp", "127.0.0.1:"+u.Port())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if _, err := fmt.Fprintf(c, "%s %s HTTP/1.1\r\nHost: %s\r\n%s\r\n", method, target, u.Host, fields); err != nil {
		t.Fatal(err)
	}
	return &visitor{c, bufio.NewReader(c)}
}

// content reads the head of the response, which must be a 200, and returns what follows.
func (v *visitor) content(t *testing.T) io.Reader {
	t.Helper()
	resp, err := http.ReadResponse(v.reader, nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK {
		problem, _ := io.ReadAll(resp.Body)
		t.Fatalf("status %d, want 200: %s", resp.StatusCode, problem)
	}
	return resp.Body
}
