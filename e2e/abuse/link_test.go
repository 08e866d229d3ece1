package abuse

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"reversehttp/schema"
)

// rawLink is a program's end of a link, frame by frame.
type rawLink struct {
	net.Conn
	in *bufio.Reader
}

// The opcodes of frames (RFC 6455, 5.2).
const (
	opText   = 1
	opBinary = 2
	opClose  = 8
	opPing   = 9
)

// link opens a link of o from an address, with the token in the upgrade or not at all. If it is refused, the
// link is nil, and the end describes why.
func (o *owner) link(from source, shows bool) (l *rawLink, end string) {
	c, err := from.dialer().Dial("tcp", o.gateway.address)
	if err != nil {
		return nil, endOfError(err)
	}
	_ = c.SetDeadline(time.Now().Add(visitTime))
	authorization := ""
	if shows {
		authorization = "Authorization: Bearer " + o.Token + "\r\n"
	}
	_, err = fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"+
		"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: reversehttp.1\r\n%s\r\n",
		strings.TrimPrefix(o.Link, "ws://"+domain), domain, authorization)
	in := bufio.NewReader(c)
	var resp *http.Response
	if err == nil {
		resp, err = http.ReadResponse(in, nil)
	}
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		end = endOfResponse(resp, err)
		_ = c.Close()
		return nil, end
	}
	return &rawLink{c, in}, ""
}

// mustLink opens a link with its token, and reads the welcome.
func (o *owner) mustLink(t *testing.T, from source) *rawLink {
	t.Helper()
	l, end := o.link(from, true)
	if l == nil {
		t.Fatalf("a link of %s = %s, want 101", o.Label, end)
	}
	t.Cleanup(func() { _ = l.Close() })
	if _, message, err := l.read(); err != nil || !strings.HasPrefix(string(message), `{"type":"welcome"`) {
		t.Fatalf("a link of %s begins with %.100q, %v; want a welcome", o.Label, message, err)
	}
	return l
}

// frame returns a frame with an opcode, and part or all of its payload. Its mask changes nothing.
func frame(opcode byte, length int, payload []byte) []byte {
	b := []byte{0x80 | opcode}
	switch {
	case length < 126:
		b = append(b, 0x80|byte(length))
	case length < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(length))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(length))
	}
	return append(append(b, 0, 0, 0, 0), payload...)
}

// send sends a whole message.
func (l *rawLink) send(opcode byte, payload string) error {
	_, err := l.Write(frame(opcode, len(payload), []byte(payload)))
	return err
}

// read reads the next frame.
func (l *rawLink) read() (opcode byte, payload []byte, err error) {
	var head [2]byte
	if _, err = io.ReadFull(l.in, head[:]); err != nil {
		return 0, nil, err
	}
	length := uint64(head[1])
	switch length {
	case 126:
		var b [2]byte
		_, err = io.ReadFull(l.in, b[:])
		length = uint64(binary.BigEndian.Uint16(b[:]))
	case 127:
		var b [8]byte
		_, err = io.ReadFull(l.in, b[:])
		length = binary.BigEndian.Uint64(b[:])
	}
	if err != nil {
		return 0, nil, err
	}
	payload = make([]byte, length)
	_, err = io.ReadFull(l.in, payload)
	return head[0] & 15, payload, err
}

// end reads to the end of the link, and returns the close code and the code of the preceding error. It passes
// earlier messages to each.
func (l *rawLink) end(each func(message string)) string {
	last := ""
	for {
		opcode, payload, err := l.read()
		switch {
		case err != nil:
			return strings.TrimSpace(endOfError(err) + last)
		case opcode == opClose && len(payload) >= 2:
			return fmt.Sprint(binary.BigEndian.Uint16(payload), last)
		}
		for line := range strings.Lines(string(payload)) {
			var e schema.LinkError
			if strings.HasPrefix(line, `{"type":"error"`) && json.Unmarshal([]byte(line), &e) == nil {
				last = " " + e.Code
			}
		}
		if each != nil {
			each(string(payload))
		}
	}
}
