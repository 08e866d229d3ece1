package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"
)

// visitor is a keep-alive connection that speaks as little HTTP/1.1 as the
// bench needs, so that making load costs little. Every response must be a 200
// that states its length.
type visitor struct {
	conn    net.Conn
	reader  *bufio.Reader
	content []byte // of the last response
}

// dial opens a connection that is good for so long.
func dial(address string, within time.Duration) (*visitor, error) {
	c, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	if err := c.SetDeadline(time.Now().Add(within)); err != nil {
		return nil, err
	}
	return &visitor{conn: c, reader: bufio.NewReaderSize(c, 16<<10)}, nil
}

// close resets the connection, so that thousands leave no TIME_WAIT behind.
func (v *visitor) close() {
	if c, ok := v.conn.(*net.TCPConn); ok {
		_ = c.SetLinger(0)
	}
	_ = v.conn.Close()
}

// send writes a whole request.
func (v *visitor) send(request []byte) error {
	_, err := v.conn.Write(request)
	return err
}

// receive reads a response with one of the statuses and keeps its content.
func (v *visitor) receive(statuses ...int) error {
	line, err := v.reader.ReadSlice('\n')
	if err != nil {
		return err
	}
	status := 0
	if len(line) > 12 && bytes.HasPrefix(line, []byte("HTTP/1.1 ")) {
		status, _ = strconv.Atoi(string(line[9:12]))
	}
	length := 0
	for {
		line, err = v.reader.ReadSlice('\n')
		if err != nil {
			return err
		}
		if line = bytes.TrimRight(line, "\r\n"); len(line) == 0 {
			break
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		switch {
		case len(name) == 14 && bytes.EqualFold(name, []byte("Content-Length")):
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return err
			}
		case len(name) == 17 && bytes.EqualFold(name, []byte("Transfer-Encoding")):
			return fmt.Errorf("status %d comes in chunks; the bench wants a length", status)
		}
	}
	if cap(v.content) < length {
		v.content = make([]byte, length)
	}
	v.content = v.content[:length]
	if _, err := io.ReadFull(v.reader, v.content); err != nil {
		return err
	}
	for _, s := range statuses {
		if s == status {
			return nil
		}
	}
	return fmt.Errorf("status %d, want %d: %.200s", status, statuses, v.content)
}

// ask sends a request and receives its response.
func (v *visitor) ask(request []byte, statuses ...int) error {
	if err := v.send(request); err != nil {
		return err
	}
	return v.receive(statuses...)
}

// requestOf makes a request. Fields are lines, each with its line break.
func requestOf(method, target, host, fields string, content []byte) []byte {
	b := fmt.Appendf(nil, "%s %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: bench\r\n%s", method, target, host, fields)
	if content != nil {
		b = fmt.Appendf(b, "Content-Length: %d\r\n", len(content))
	}
	return append(append(b, "\r\n"...), content...)
}
