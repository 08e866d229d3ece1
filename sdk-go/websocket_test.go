package reversehttp_test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	xwebsocket "golang.org/x/net/websocket"

	"reversehttp/server/gateway"
)

// echo echoes each message, until the visitor closes.
func echo(o *websocket.AcceptOptions) http.Handler {
	return handle(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, o)
		if err != nil {
			return
		}
		defer c.CloseNow()
		c.SetReadLimit(-1)
		for {
			kind, in, err := c.Reader(r.Context())
			if err != nil {
				return
			}
			out, err := c.Writer(r.Context(), kind)
			if err != nil {
				return
			}
			if _, err := io.Copy(out, in); err != nil {
				return
			}
			if out.Close() != nil {
				return
			}
		}
	})
}

// The two ways of hijacking, and a proxy, which is a third way.
func websocketServers(t *testing.T) map[string]http.Handler {
	plain := &websocket.AcceptOptions{CompressionMode: websocket.CompressionDisabled}
	origin := httptest.NewServer(echo(plain))
	t.Cleanup(origin.Close)
	to, _ := url.Parse(origin.URL)
	return map[string]http.Handler{
		"head first": echo(plain),
		"hijacked first": xwebsocket.Server{Handler: func(c *xwebsocket.Conn) {
			c.MaxPayloadBytes = 4 << 20
			for {
				var b []byte
				if xwebsocket.Message.Receive(c, &b) != nil || xwebsocket.Message.Send(c, string(b)) != nil {
					return
				}
			}
		}},
		"proxy": &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(to)
			r.Out.Host = r.In.Host
		}},
	}
}

// frame returns a visitor's frame (RFC 6455, 5.2), masked with zeros.
func frame(head byte, payload string) []byte {
	b := []byte{head}
	switch n := len(payload); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	key := [4]byte{1, 2, 3, 0}
	b = append(b, key[:]...)
	for i := range len(payload) {
		b = append(b, payload[i]^key[i%4])
	}
	return b
}

func closing(code uint16, reason string) []byte {
	return frame(0x88, string(binary.BigEndian.AppendUint16(nil, code))+reason)
}

const (
	text, binaryFrame, more, ping, pong = 0x81, 0x82, 0x00, 0x89, 0x8a
)

// A visitor's frames, after which the server closes. None needs an answer in between.
var conversations = map[string][]byte{
	"text and binary": join(frame(text, "héllo"), frame(binaryFrame, "\x00\xff\xfe"), closing(1000, "")),
	"sizes": join(frame(text, ""), frame(binaryFrame, ""), frame(text, strings.Repeat("a", 125)), frame(text, strings.Repeat("b", 126)),
		frame(text, strings.Repeat("c", 127)), frame(binaryFrame, strings.Repeat("\xfe", 128)), frame(text, strings.Repeat("d", 65535)),
		frame(text, strings.Repeat("e", 65536)), frame(binaryFrame, strings.Repeat("\xff\x00", 1<<19)), closing(1000, "")),
	"fragments": join(frame(0x01, "one "), frame(more, "two "), frame(more, ""), frame(0x80, "three"),
		frame(0x02, ""), frame(0x80, ""), closing(1000, "")),
	"ping between fragments":       join(frame(0x01, "one "), frame(ping, "p1"), frame(more, "two"), frame(ping, ""), frame(0x80, "."), closing(1000, "")),
	"pings":                        join(frame(ping, ""), frame(ping, strings.Repeat("p", 125)), frame(ping, "\x00\xff"), closing(1000, "")),
	"a pong that nobody asked for": join(frame(pong, "x"), frame(text, "hello"), closing(1000, "")),
	"close code and reason":        closing(4321, "that is all"),
	"close code 3000":              closing(3000, "é"),
	"close without a code":         frame(0x88, ""),
	"going away":                   closing(1001, ""),
	"close with half a code":       frame(0x88, "\x03"),
	"an invalid close code":        closing(1005, ""),
	"close with much":              frame(0x88, "\x03\xe8"+strings.Repeat("x", 123)),
	"a long ping":                  frame(ping, strings.Repeat("p", 126)),
	"a ping in fragments":          join(frame(0x09, "p"), frame(0x80, "q"), closing(1000, "")),
	"an invalid opcode":            frame(0x83, "x"),
	"an invalid control opcode":    frame(0x8b, "x"),
	"bits without an extension":    frame(0xc1, "x"),
	"text without a mask":          {text, 1, 'x'},
	"a continuation of nothing":    frame(0x80, "x"),
	"text within fragments":        join(frame(0x01, "one"), frame(text, "two")),
	"text that is no UTF-8":        join(frame(text, "a\xc3("), closing(1000, "")),
	"after the close":              join(closing(1000, ""), frame(text, "late")),
	"many":                         join(numbered(2000), closing(1000, "")),
}

func join(frames ...[]byte) []byte { return bytes.Join(frames, nil) }

func numbered(n int) (all []byte) {
	for i := range n {
		all = append(all, frame(text, fmt.Sprint("message ", i))...)
	}
	return all
}

const upgradeRequest = "GET /socket?x=1 HTTP/1.1\r\nHost: %s\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n" +
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: http://%[1]s\r\n\r\n"

// upgraded requests an upgrade, and returns the connection and the head of the answer.
func upgraded(t testing.TB, addr, host string) (net.Conn, *bufio.Reader, string) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(patience))
	fmt.Fprintf(conn, upgradeRequest, host)
	in := bufio.NewReader(conn)
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	h := resp.Header
	head := fmt.Sprint(resp.StatusCode, h["Connection"], h["Upgrade"], h["Sec-Websocket-Accept"], h["Sec-Websocket-Protocol"])
	return conn, in, head
}

// sending sends b, and then closes the channel.
func sending(conn net.Conn, b []byte) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		conn.Write(b)
	}()
	return done
}

// A visitor's frames have the same effect through the gateway as on a net/http server.
func TestWebSocketsBehaveAsUnderNetHTTP(t *testing.T) { overEach(t, webSocketsBehaveAsUnderNetHTTP) }

func webSocketsBehaveAsUnderNetHTTP(t *testing.T) {
	for name, h := range websocketServers(t) {
		t.Run(name, func(t *testing.T) {
			direct := httptest.NewServer(h)
			defer direct.Close()
			l := lend(t, hostShape, gateway.Options{})
			s := l.serve(t, h, nil)
			public, _ := url.Parse(s.URL())
			for name, sent := range conversations {
				// said returns what came, and closes the visitor's side after as many bytes.
				said := func(addr, host string, enough int) string {
					conn, in, head := upgraded(t, addr, host)
					defer conn.Close()
					sent := sending(conn, sent)
					first := make([]byte, enough)
					n, err := io.ReadFull(in, first)
					if err == nil {
						<-sent
						conn.(*net.TCPConn).CloseWrite()
					}
					rest, _ := io.ReadAll(in)
					return head + "|" + string(first[:n]) + string(rest)
				}
				want := said(direct.Listener.Addr().String(), public.Host, 0)
				_, content, _ := strings.Cut(want, "|")
				if got := said(l.addr, public.Host, len(content)); got != want {
					t.Errorf("%s: visitor got  %.200q (%d bytes)\nnet/http gave %.200q (%d bytes)", name, got, len(got), want, len(want))
				}
			}
		})
	}
}
