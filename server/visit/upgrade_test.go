package visit

import (
	"bufio"
	"io"
	"net"
	"testing"
)

// leaving is a connection whose visitor leaves while act runs.
type leaving struct {
	net.Conn
	act func()
}

func (c leaving) Read([]byte) (int, error) {
	c.act()
	return 0, io.EOF
}

func TestAVisitorWhoLeavesTogetherWithTheProgramIsNoticed(t *testing.T) {
	tunnel, left := newTunnel(nil, nil), false
	here, there := net.Pipe()
	defer there.Close()
	defer here.Close()
	c := leaving{here, func() { _ = tunnel.Close() }}
	tunnel.open(c, bufio.NewReader(c), func(err error) { left = err == io.EOF })
	if n, err := tunnel.Read(make([]byte, 10)); n != 0 || err != errStopped {
		t.Errorf("read = %d %v, want %v: the program has left", n, err, errStopped)
	}
	if !left {
		t.Error("the visitor left unnoticed, and nobody reads again")
	}
}
