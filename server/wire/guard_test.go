package wire

import "testing"

// net/http also refuses some of this; a guard does not depend on that.
func TestAGuardStopsAtTheFirstInvalidByte(t *testing.T) {
	const line = "POST / HTTP/1.1\r\n"
	for _, c := range []struct{ good, rest string }{
		{"GET / HTTP/1.1", "\nHost: a\r\n\r\n"},
		{"GET / HTTP/1.1\r", "Host: a\r\n\r\n"},
		{"GET /", "\x00 HTTP/1.1\r\n\r\n"},
		{line + "A: b", "\nB: c\r\n\r\n"},
		{line + "A: b\r", "B: c\r\n\r\n"},
		{line + "A: b\r", "\r\n\r\n"},
		{line + "A: b\r\n\r", "B: c\r\n\r\n"},
		{line + "A: b\r\n", "\n"},
		{line + "A: b\r\n", " c\r\n\r\n"},
		{line + "A: b\r\n", "\tc\r\n\r\n"},
		{line + "A:", "\x00\r\n\r\n"},
		{line + "A", "\r\n\r\n"},
		{"POST / HTTP/1.0\r\nTransfer-Encoding", ": chunked\r\n\r\n"},
		{line + "Content-Length: 1\r\ntransfer-encoding", ": chunked\r\n\r\n"},
		{line + "transfer-encoding: chunked\r\nContent-Length", ": 1\r\n\r\n"},
		{line + "Transfer-Encoding: chunked\r\n\r\n1", "\na\r\n0\r\n\r\n"},
		{line + "Transfer-Encoding: chunked\r\n\r\n1;b\r", "c\r\na\r\n0\r\n\r\n"},
		{line + "Transfer-Encoding: chunked\r\n\r\n1\r\na", "\n0\r\n\r\n"},
		{line + "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nA: b", "\n\r\n"},
		{line + "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n", "\n"},
		{line + "Content-Length: 2\r\n\r\n\n\nGET / HTTP/1.1", "\n\r\n"},
	} {
		var g guard
		sent := c.good + c.rest
		if n := g.see([]byte(sent)); n != len(c.good) || g.why == "" {
			t.Errorf("%q: %d bytes passed, %q; want %d and why no more", sent, n, g.why, len(c.good))
		}
	}
}
