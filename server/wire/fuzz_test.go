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

// odd are targets that net/http refuses or would write differently.
var odd = []string{
	"/%", "/%z", "/%zz", "/a%2", "/100%/b%41%4", "/%?%", "/?%zz", "/a;b?c;d", "//x//../y", "/%2F%2e%2E", "/\\", "/a|b^c`{}\"<>",
	"/\xc3\xa9", "/\xff", "/a?", "/a??b", "/a%00", "/#", "*",
}

// pieces is a connection that returns bytes in pieces of a size.
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
		if c.guard.why != "" { // the bytes at which it stopped are not shown
			shown = bytes.TrimSuffix(shown, []byte(stopped))
			sent = sent[:min(len(shown), len(sent))]
		}
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
		if err != nil || c.guard.why != "" {
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

// ends returns where each HTTP/1 message in the input ends, according to a guard that reads it in pieces of a
// size, and why the guard stops. passed is what it lets through before that.
func ends(sent []byte, size int) (ends []int, passed []byte, why string, last guardAt) {
	var g guard
	for i := 0; i < len(sent) && g.why == ""; {
		piece, before := sent[i:min(i+size, len(sent))], g.at
		n := g.see(piece)
		passed = append(passed, piece[:n]...)
		i += n
		if n > 0 && before != atHead && (g.at == atHead || g.at == atHold) {
			ends = append(ends, i) // exact in pieces of 1
		}
		g.idle(nil)
	}
	return ends, passed, g.why, g.at
}

// FuzzGuard compares a guard with net/http: messages that pass end at the same place for both, and contain
// nothing at which guards stop, however the bytes are divided.
func FuzzGuard(f *testing.F) {
	for _, sent := range []string{
		"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /b HTTP/1.1\r\nHost: a\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\na\n\r\x00bGET / HTTP/1.0\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 01\r\n\r\na",
		"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: b\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET / HTTP/1.1\nHost: a\r\n\r\n", "GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n", "GET / HTTP/1.1\r\nA: b\rc\r\n\r\n", "GET / HTTP/1.1\r\nA: \x00\r\n\r\n",
		"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n",
		"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
	} {
		f.Add([]byte(sent), uint8(3))
	}
	f.Fuzz(func(t *testing.T, sent []byte, size uint8) {
		want, passed, why, last := ends(sent, 1)
		_, again, whyAgain, _ := ends(sent, int(size)+2)
		if !bytes.Equal(passed, again) || why != whyAgain {
			t.Fatalf("%q: %q %q in pieces of 1, %q %q in pieces of %d", sent, passed, why, again, whyAgain, int(size)+2)
		}
		below := bytes.NewReader(passed)
		in := bufio.NewReader(below)
		for i := 0; ; i++ {
			r, err := http.ReadRequest(in)
			if err != nil || r.ProtoMajor != 1 { // refused or incomplete
				return
			}
			if _, err := io.Copy(io.Discard, r.Body); err != nil {
				return
			}
			if end := len(passed) - below.Len() - in.Buffered(); i >= len(want) && last != atRefusal || i < len(want) && want[i] != end {
				t.Fatalf("%q: request %d ends at %d for net/http, and for the guard at %v", passed, i, end, want)
			}
		}
	})
}
