package cable

import (
	"bufio"
	"io"
	"net"
	"testing"
	"time"
)

// TestACableIsCutAndBroken has an echo at the end of a cable.
func TestACableIsCutAndBroken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(conn, conn)
				_ = conn.Close()
			}()
		}
	}()
	c, err := New(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	dial := func() net.Conn {
		conn, err := net.Dial("tcp", c.Address())
		if err != nil {
			t.Fatal(err)
		}
		return conn
	}
	conn := dial()
	defer func() { _ = conn.Close() }()
	lines := bufio.NewReader(conn)
	echo := func(line string) error {
		if _, err := io.WriteString(conn, line+"\n"); err != nil {
			return err
		}
		got, err := lines.ReadString('\n')
		if err == nil && got != line+"\n" {
			t.Errorf("echo of %q is %q", line, got)
		}
		return err
	}
	if err := echo("one"); err != nil {
		t.Fatal(err)
	}
	c.Cut()
	came := make(chan error, 1)
	go func() { came <- echo("two") }()
	select {
	case err := <-came:
		t.Errorf("something passed a cut: %v", err)
	case <-time.After(50 * time.Millisecond): // what must not come cannot be waited for
	}
	c.Mend()
	if err := <-came; err != nil {
		t.Errorf("after the cut: %v, want what waited", err)
	}
	c.Break()
	if err := echo("three"); err == nil {
		t.Error("something passed a broken cable")
	}
	again, err := net.Dial("tcp", c.Address())
	if err == nil { // the reset may come before or after the dial returns
		defer func() { _ = again.Close() }()
		_, err = again.Read(make([]byte, 1))
	}
	if err == nil {
		t.Error("a broken cable has a new connection")
	}
}
