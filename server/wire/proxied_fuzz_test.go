package wire

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"testing"

	proxyproto "github.com/pires/go-proxyproto"
)

// FuzzProxyHeader checks that nothing after a header is read, and that it names an address or none.
func FuzzProxyHeader(f *testing.F) {
	for _, s := range []string{
		"PROXY TCP4 192.0.2.1 198.51.100.1 1 2\r\nGET", "PROXY TCP6 2001:db8::1 2001:db8::2 1 2\r\n", "PROXY UNKNOWN\r\nGET", "PROXY TCP4 x y 1 2\r\n",
		"PROXY TCP4 192.0.2.1 198.51.100.1 1 99999\r\n", "PROXY TCP4 192.0.2.1\n", "GET / HTTP/1.1\r\n\r\n", "PROXY",
		v2(1, 0x11, "\xc0\x00\x02\x01\xc6\x33\x64\x01\x00\x01\x00\x02") + "GET", v2(0, 0, ""), v2(1, 0x11, "short"), v2(1, 0x31, string(make([]byte, 216))),
		string(proxyproto.SIGV2) + "\x21\x11\xff\xff",
	} {
		f.Add([]byte(s))
	}
	peer := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1}
	f.Fuzz(func(t *testing.T, sent []byte) {
		r := bytes.NewReader(sent)
		said, err := headerOf(r)
		if err != nil {
			return
		}
		rest, _ := io.ReadAll(r)
		if !bytes.Equal(append(bytes.Clone(said), rest...), sent) {
			t.Errorf("%q became %q and %q", sent, said, rest)
		}
		header, err := proxyproto.Read(bufio.NewReader(bytes.NewReader(said)))
		if err != nil {
			return
		}
		switch who := whomFor(header, peer).(type) {
		case nil:
		case *net.TCPAddr:
			if who.IP.To16() == nil || who.Port < 0 || who.Port > 65535 {
				t.Errorf("%q is for %v", said, who)
			}
		default:
			t.Errorf("%q is for a %T", said, who)
		}
	})
}
