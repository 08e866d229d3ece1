package wire

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// v2 is a header of version 2 of a command and a family, with addresses.
func v2(command, family byte, addresses string) string {
	return "\r\n\r\n\x00\r\nQUIT\n" + string([]byte{0x20 | command, family, byte(len(addresses) >> 8), byte(len(addresses))}) + addresses
}

// selfSigned returns a self-signed certificate.
func selfSigned(t *testing.T) tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func TestTheHeaderOfAProxyNamesThePeer(t *testing.T) {
	const get = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
	for name, c := range map[string]struct {
		sent, want string // an empty want means that the connection is closed without an answer
		untrusted  bool
	}{
		"version 1, IPv4":       {sent: "PROXY TCP4 192.0.2.1 198.51.100.1 5 80\r\n", want: "192.0.2.1:5"},
		"version 1, IPv6":       {sent: "PROXY TCP6 2001:db8::1 2001:db8::2 5 80\r\n", want: "[2001:db8::1]:5"},
		"version 2, IPv4":       {sent: v2(1, 0x11, "\xc0\x00\x02\x01\xc6\x33\x64\x01\x00\x05\x00\x50"), want: "192.0.2.1:5"},
		"version 2, more of it": {sent: v2(1, 0x11, "\xc0\x00\x02\x01\xc6\x33\x64\x01\x00\x05\x00\x50\x04\x00\x01x"), want: "192.0.2.1:5"},
		"for itself":            {sent: v2(0, 0, ""), want: "127.0.0.1:"},
		"for nobody":            {sent: "PROXY UNKNOWN\r\n"},
		"for nobody, version 2": {sent: v2(1, 0, "")},
		"a Unix socket":         {sent: v2(1, 0x31, strings.Repeat("a", 216))},
		"nothing":               {},
		"malformed":             {sent: "PROXY TCP4 192.0.2.1\r\n"},
		"too long":              {sent: "PROXY TCP4 " + strings.Repeat("1", 200) + "\r\n"},
		"no proxy":              {untrusted: true, want: "127.0.0.1:"},
		"a liar":                {sent: "PROXY TCP4 192.0.2.1 198.51.100.1 5 80\r\n", untrusted: true, want: "bad_request"},
	} {
		for _, sealed := range []bool{false, true} {
			if sealed && c.want == "bad_request" {
				continue // not a handshake
			}
			t.Run(fmt.Sprintf("%s, TLS: %v", name, sealed), func(t *testing.T) {
				below, err := net.Listen("tcp", "127.0.0.1:0")
				if err != nil {
					t.Fatal(err)
				}
				place := newPlace(1 << 30)
				peers := make(chan string, 1)
				p := New(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.RemoteAddr) }), told, &Options{Place: func(peer net.Addr) Place {
					peers <- peer.String()
					return place
				}})
				l := p.Limit(Proxied(below, func(net.Addr) bool { return !c.untrusted }, time.Minute))
				if sealed {
					l = p.ListenTLS(l, &tls.Config{Certificates: []tls.Certificate{selfSigned(t)}}, nil)
				} else {
					l = Listen(l)
				}
				server, served := p.Server(), make(chan error, 1)
				go func() { served <- server.Serve(l) }()
				defer func() {
					_ = server.Close()
					<-served
					p.Close()
				}()
				conn, err := net.Dial("tcp", below.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				_, _ = io.WriteString(conn, c.sent)
				if sealed {
					conn = tls.Client(conn, &tls.Config{InsecureSkipVerify: true})
				}
				_, _ = io.WriteString(conn, get)
				resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
				if c.want == "" {
					if err == nil {
						t.Errorf("answer = %d, want that the connection is closed", resp.StatusCode)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				content, _ := io.ReadAll(resp.Body)
				if got := string(content); !strings.HasPrefix(got, c.want) {
					t.Errorf("the handler saw %q, want %q", got, c.want)
				}
				if peer := <-peers; c.want != "bad_request" && !strings.HasPrefix(peer, c.want) {
					t.Errorf("a place was opened for %q, want %q", peer, c.want)
				}
			})
		}
	}
}

func TestASlowHeaderDelaysNoOtherConnection(t *testing.T) {
	below, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := Proxied(below, func(net.Addr) bool { return true }, time.Minute)
	slow, err := net.Dial("tcp", below.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	quick, err := net.Dial("tcp", below.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer quick.Close()
	_, _ = io.WriteString(quick, "PROXY TCP4 192.0.2.1 198.51.100.1 5 80\r\n")
	c, err := l.Accept()
	if err != nil || c.RemoteAddr().String() != "192.0.2.1:5" {
		t.Fatalf("accepted %v %v, want the quick one", c, err)
	}
	_ = c.Close()
	_ = l.Close()
	_, _ = io.WriteString(slow, "PROXY TCP4 192.0.2.2 198.51.100.1 5 80\r\n")
	c, err = l.Accept()
	if err != nil || c.RemoteAddr().String() != "192.0.2.2:5" {
		t.Fatalf("after Close accepted %v %v, want the one that was there before", c, err)
	}
	_ = c.Close()
	_ = slow.Close()
	if _, err = l.Accept(); err == nil {
		t.Error("a closed listener accepts")
	}
}
