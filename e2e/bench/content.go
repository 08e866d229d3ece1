package main

import (
	"bytes"
	"fmt"
	"io"
)

// content is content that is sent or expected: a block, repeated and cut to size bytes.
type content struct {
	block []byte
	size  int64
}

// whole returns content that consists of one block.
func whole(block []byte) content { return content{block, int64(len(block))} }

// small is the content of 1 KiB that handlers answer with.
var small = bytes.Repeat([]byte("ReverseHttp lends URL space. OK\n"), 1024/32)

// file returns n bytes that are not text, like most files.
func file(n int64) content { return content{fileBlock, n} }

var fileBlock = echoBytes(64 << 10)

// writeTo writes the content.
func (c content) writeTo(w io.Writer) error {
	for left := c.size; left > 0; {
		n := min(left, int64(len(c.block)))
		if _, err := w.Write(c.block[:n]); err != nil {
			return err
		}
		left -= n
	}
	return nil
}

// expect reads r to its end through a buffer. It returns an error if r has other content.
func (c content) expect(r io.Reader, buffer []byte) error {
	var at int64
	for {
		n, err := r.Read(buffer)
		for piece := buffer[:n]; len(piece) > 0; {
			var due []byte
			if at < c.size {
				due = c.block[at%int64(len(c.block)):]
				due = due[:min(int64(len(due)), c.size-at, int64(len(piece)))]
			}
			if len(due) == 0 || !bytes.Equal(due, piece[:len(due)]) {
				return fmt.Errorf("content differs from the expected, in the %d bytes from byte %d of %d", len(piece), at, c.size)
			}
			at, piece = at+int64(len(due)), piece[len(due):]
		}
		switch {
		case err == io.EOF && at == c.size:
			return nil
		case err == io.EOF:
			return fmt.Errorf("content ends after %d bytes of %d", at, c.size)
		case err != nil:
			return err
		}
	}
}

// echoText is JSON, with characters that an envelope must escape.
func echoText(n int) []byte {
	var b []byte
	for i := 0; len(b) < n; i++ {
		b = fmt.Appendf(b, "{\"number\":%d,\"word\":\"Grüße\",\"true\":true}\n", i)
	}
	// The cut may fall within a character; the result must remain text.
	return append(bytes.ToValidUTF8(b[:n-8], []byte("?")), bytes.Repeat([]byte(" "), 8)...)[:n]
}

// echoBytes is not UTF-8, so an envelope carries it as base64.
func echoBytes(n int) []byte {
	b := make([]byte, n)
	x := uint32(1)
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	return b
}
