package wire

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// odd are targets that net/http refuses or would write in another way.
var odd = []string{
	"/%", "/%z", "/%zz", "/a%2", "/100%/b%41%4", "/%?%", "/?%zz", "/a;b?c;d", "//x//../y", "/%2F%2e%2E", "/\\", "/a|b^c`{}\"<>",
	"/\xc3\xa9", "/\xff", "/a?", "/a??b", "/a%00", "/#", "*",
}

// pieces is a connection that gives bytes in pieces of a size.
type pieces struct {
	net.Conn
	left []byte
	size int
}

func (p *pieces) Read(b []byte) (int, error) {
	if len(p.left) == 0 {
		return 0, io.EOF
	}
	n := copy(b[:min(len(b), p.size)], p.left)
	p.left = p.left[n:]
	return n, nil
}

func FuzzRequestHead(f *testing.F) {
	for _, target := range odd {
		f.Add([]byte("GET "+target+" HTTP/1.1\r\nHost: a\r\n\r\n"), uint8(0))
		f.Add([]byte("POST "+target+" HTTP/1.0\r\nHost: a\r\nContent-Length: 12\r\n\r\nGET /%zz HTTP"), uint8(3))
	}
	f.Add([]byte("\r\n\nGET /%zz HTTP/1.1\r\n\r\n"), uint8(1))
	f.Add([]byte("GET  /%zz HTTP/1.1\r\n\r\n"), uint8(2))
	f.Add([]byte("%zz /%zz%zz?%zz %zz\n/%zz"), uint8(2))
	f.Fuzz(func(t *testing.T, sent []byte, size uint8) {
		c := &accepted{conn: conn{Conn: &pieces{left: bytes.Clone(sent), size: int(size) + 1}}}
		shown, err := io.ReadAll(c)
		if err != nil || len(shown) != len(sent) {
			t.Fatalf("%d bytes became %d, %v", len(sent), len(shown), err)
		}
		line, rest, _ := bytes.Cut(bytes.TrimLeft(sent, "\r\n"), []byte{'\n'})
		after := len(sent) - len(rest)
		for i := range sent {
			if sent[i] != shown[i] && (i >= after || sent[i] != '%' || shown[i] != '_') {
				t.Fatalf("byte %d of %q became %q", i, sent, shown[i])
			}
		}
		if bytes.Equal(sent, shown) == c.line.changed {
			t.Fatalf("changed = %v, %q became %q", c.line.changed, sent, shown)
		}
		r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(shown)))
		if err != nil {
			return
		}
		r = r.WithContext(context.WithValue(t.Context(), connKey{}, c))
		_, want, _ := strings.Cut(string(line), " ")
		want, _, _ = strings.Cut(want, " ")
		if got := Target(r); got != want || garbled(r) != "" {
			t.Fatalf("target of %q = %q, want %q; garbled %q", line, got, want, garbled(r))
		}
	})
}
