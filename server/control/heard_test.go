package control

import (
	"io"
	"net"
	"strings"
	"testing"

	"github.com/coder/websocket"
)

func TestACloseFrameFollowsTheMessageThatIsBeingSent(t *testing.T) {
	here, there := net.Pipe() // nothing is sent until the other end reads
	c := &heard{Conn: here, link: &link{}}
	sent := make(chan error, 1)
	go func() {
		_, err := c.send(nil, func() error {
			_, err := c.Write(append([]byte{0x81, 9}, "a message"...))
			return err
		})
		sent <- err
	}()
	first := make([]byte, 1)
	if _, err := io.ReadFull(there, first); err != nil { // it is being sent
		t.Fatal(err)
	}
	c.sayClose(websocket.StatusNormalClosure, "")
	closed := make(chan error, 1)
	go func() { closed <- courteous{c}.Close() }()
	c.sayClose(websocket.StatusNormalClosure, "") // as package websocket answers the one of the program
	rest, err := io.ReadAll(there)
	if got, want := string(first)+string(rest), "\x81\x09a message\x88\x02\x03\xe8"; got != want || err != nil {
		t.Errorf("read %q %v, want %q", got, err, want)
	}
	if err := <-sent; err != nil {
		t.Errorf("the message: %v", err)
	}
	if err := <-closed; err != nil {
		t.Errorf("the end: %v", err)
	}
}

func TestAClosedConnectionSendsWhatWasPutTogether(t *testing.T) {
	here, there := net.Pipe()
	c := &heard{Conn: here, link: &link{}}
	closed := make(chan error, 1)
	go func() {
		_, _ = c.send(nil, func() error {
			c.sayClose(websocket.StatusNormalClosure, "") // the reader answers a Close frame, and closes the connection
			go func() { closed <- courteous{c}.Close() }()
			return nil
		})
	}()
	if got, err := io.ReadAll(there); string(got) != "\x88\x02\x03\xe8" || err != nil {
		t.Errorf("read %q %v, want a Close frame", got, err)
	}
	if err := <-closed; err != nil {
		t.Errorf("the end: %v", err)
	}
}

// Whichever side closes first, and in however many pieces a frame is written, one Close frame is the last.
func TestNothingFollowsACloseFrame(t *testing.T) {
	here, there := net.Pipe()
	c := &heard{Conn: here, link: &link{}}
	long := append([]byte{0x88, 2 + 100, 0x03, 0xe8}, strings.Repeat("x", 100)...)
	go func() {
		_, _ = c.Write([]byte{0x8a, 1, 8}) // a Pong whose content looks like a head
		_, _ = c.Write(long[:64])
		_, _ = c.Write(long[64:])
		c.sayClose(websocket.StatusGoingAway, "")
		_, _ = c.Write([]byte{0x8a, 0})
		_, _ = c.send(nil, func() error {
			_, err := c.Write([]byte{0x81, 1, 'x'})
			return err
		})
		_ = courteous{c}.Close()
	}()
	if got, err := io.ReadAll(there); string(got) != "\x8a\x01\x08"+string(long) || err != nil {
		t.Errorf("read %q %v, want one Close frame at the end", got, err)
	}
}
