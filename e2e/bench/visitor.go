package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http/httputil"
	"slices"
	"strconv"
	"time"
)

// visitor is a keep-alive connection with just the HTTP/1.1 that the bench needs, so that it takes little processor
// time from the programs under test.
type visitor struct {
	conn   net.Conn
	reader *bufio.Reader
	sized  io.LimitedReader // the content of a response with Content-Length
	buffer []byte
}

// dial opens a connection with a deadline.
func dial(address string, within time.Duration) (*visitor, error) {
	return dialFrom(nil, address, within)
}

// dialFrom does the same from an address of this machine.
func dialFrom(from net.Addr, address string, within time.Duration) (*visitor, error) {
	c, err := (&net.Dialer{LocalAddr: from}).Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	if err := c.SetDeadline(time.Now().Add(within)); err != nil {
		_ = c.Close()
		return nil, err
	}
	return &visitor{conn: c, reader: bufio.NewReaderSize(c, 16<<10)}, nil
}

// close resets the connection, so that thousands of them do not linger in TIME_WAIT.
func (v *visitor) close() {
	if c, ok := v.conn.(*net.TCPConn); ok {
		_ = c.SetLinger(0)
	}
	_ = v.conn.Close()
}

// send writes a whole request.
func (v *visitor) send(r request) error {
	if _, err := v.conn.Write(r.head); err != nil {
		return err
	}
	return r.rest.writeTo(v.conn)
}

// receive reads the head of a response. The caller reads its content to the end before the next request.
func (v *visitor) receive() (status int, body io.Reader, err error) {
	line, err := v.reader.ReadSlice('\n')
	if err != nil {
		return 0, nil, err
	}
	if len(line) > 12 && bytes.HasPrefix(line, []byte("HTTP/1.1 ")) {
		status, _ = strconv.Atoi(string(line[9:12]))
	}
	v.sized = io.LimitedReader{R: v.reader}
	body = &v.sized
	for {
		line, err = v.reader.ReadSlice('\n')
		if err != nil {
			return 0, nil, err
		}
		if line = bytes.TrimRight(line, "\r\n"); len(line) == 0 {
			return status, body, nil
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		switch {
		case len(name) == 14 && bytes.EqualFold(name, []byte("Content-Length")):
			if v.sized.N, err = strconv.ParseInt(string(bytes.TrimSpace(value)), 10, 64); err != nil {
				return 0, nil, err
			}
		case len(name) == 17 && bytes.EqualFold(name, []byte("Transfer-Encoding")):
			body = &chunked{Reader: httputil.NewChunkedReader(v.reader), of: v.reader}
		}
	}
}

// chunked reads content in chunks, and the trailer section after it.
type chunked struct {
	io.Reader
	of    *bufio.Reader
	ended bool
}

func (c *chunked) Read(b []byte) (int, error) {
	n, err := c.Reader.Read(b)
	for err == io.EOF && !c.ended {
		line, bad := c.of.ReadSlice('\n')
		if bad != nil {
			return n, bad
		}
		c.ended = len(bytes.TrimRight(line, "\r\n")) == 0
	}
	return n, err
}

// visit sends a request and expects a 200 with some content.
func (v *visitor) visit(r request, want content) error {
	if err := v.send(r); err != nil {
		return err
	}
	status, body, err := v.receive()
	if err != nil {
		return err
	}
	if status != 200 {
		reason, _ := io.ReadAll(body)
		return fmt.Errorf("status %d, want 200: %.200s", status, reason)
	}
	if v.buffer == nil {
		v.buffer = make([]byte, min(max(want.size+1, 512), 64<<10))
	}
	return want.expect(body, v.buffer)
}

// ask sends a request and returns the content of its response, whose status must be one of statuses.
func (v *visitor) ask(r request, statuses ...int) ([]byte, error) {
	if err := v.send(r); err != nil {
		return nil, err
	}
	status, body, err := v.receive()
	if err != nil {
		return nil, err
	}
	answer, err := io.ReadAll(body)
	if err == nil && !slices.Contains(statuses, status) {
		err = fmt.Errorf("status %d, want %d: %.200s", status, statuses, answer)
	}
	return answer, err
}

// request is the bytes of a head, with the content after it if that is short.
type request struct {
	head []byte
	rest content
}

// requestOf returns a request. Fields are lines, each with its line break.
func requestOf(method, target, host, fields string, c content) request {
	b := fmt.Appendf(nil, "%s %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: bench\r\n%s", method, target, host, fields)
	if c.block != nil {
		b = fmt.Appendf(b, "Content-Length: %d\r\n", c.size)
	}
	b = append(b, "\r\n"...)
	if c.size > int64(len(c.block)) {
		return request{b, c}
	}
	return request{head: append(b, c.block[:c.size]...)}
}
