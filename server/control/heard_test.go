package control

import (
	"io"
	"net"
	"testing"

	"github.com/coder/websocket"
)

func TestACloseFrameFollowsTheMessageThatIsBeingSent(t *testing.T) {
	here, there := net.Pipe() // nothing is sent until the other end reads
	c := &heard{Conn: here, link: &link{}}
	sent := make(chan error, 1)
	go func() {
		_, err := c.send(nil, func() error {
			_, err := io.WriteString(c, "a message")
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
	if got, want := string(first)+string(rest), "a message\x88\x02\x03\xe8"; got != want || err != nil {
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
