package family

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/net/http2"

	"reversehttp/server/gateway"
)

// net/http reads GODEBUG once, when the process starts, so these tests run in their own process.
func TestExtendedCONNECT(t *testing.T) {
	if strings.Contains(os.Getenv("GODEBUG"), "http2xconnect=1") {
		t.Run("turns a stream of HTTP/2", turnsAStream)
		t.Run("carries a visitor's WebSocket", carriesAWebSocket)
		t.Run("carries a link", carriesALink)
		t.Run("refuses pages of other origins", refusesPages)
		return
	}
	child := exec.Command(os.Args[0], "-test.run=^TestExtendedCONNECT$", "-test.v", "-test.timeout=1h")
	child.Env = append(os.Environ(), "GODEBUG=http2xconnect=1")
	out, err := child.CombinedOutput()
	if err != nil || strings.Count(string(out), "--- PASS") != 5 {
		t.Fatalf("%v\n%s", err, out)
	}
}

// connect sends an extended CONNECT, and returns its stream and the response.
func (w *town) connect(protocol, to string, fields http.Header) (net.Conn, *http.Response) {
	w.t.Helper()
	s, resp, err := w.extend(protocol, to, fields)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = s.Close() })
	return s, resp
}

// extend is connect for a program that closes the stream itself.
func (w *town) extend(protocol, to string, fields http.Header) (net.Conn, *http.Response, error) {
	conn, err := net.Dial("tcp", w.address)
	if err != nil {
		return nil, nil, err
	}
	//lint:ignore SA1019 net/http's own refuses the field
	var transport http.RoundTripper = &http2.Transport{AllowHTTP: true, DialTLSContext: func(context.Context, string, string, *tls.Config) (net.Conn, error) { return conn, nil }}
	in, out := io.Pipe()
	req, err := http.NewRequest("CONNECT", to, in)
	if err != nil {
		return nil, nil, err
	}
	req.Header = fields
	req.Header[":protocol"] = []string{protocol}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		_ = conn.Close()
		return nil, nil, err
	}
	here, there := net.Pipe() // which has the deadlines that servers need
	w.ends.Go(func() { _, _ = io.Copy(there, resp.Body); _ = there.Close() })
	w.ends.Go(func() { _, _ = io.Copy(out, there); _ = out.Close() })
	return &extended{here, conn}, resp, nil
}

// extended is a stream that ends with its connection.
type extended struct {
	net.Conn
	under net.Conn
}

func (e *extended) Close() error {
	defer e.under.Close()
	return e.Conn.Close()
}

func turnsAStream(t *testing.T) {
	w := newTown(t, gateway.Options{})
	for _, inner := range []string{"h2", "http%2F1.1"} {
		at := w.Public().Control + ".well-known/ptth/" + url.QueryEscape(strings.TrimSuffix(w.Public().Base("demo"), "/")) + "/"
		s, resp := w.connect("ptth", at, http.Header{"Authorization": {"Bearer t0"}, "Alpn": {inner}})
		if resp.StatusCode != 200 || resp.Header.Get("Alpn") != inner {
			b, _ := io.ReadAll(resp.Body)
			t.Fatalf("%d %v %s, want 200 and ALPN: %s", resp.StatusCode, resp.Header, b, inner)
		}
		w.serveOn(s, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			content, err := io.ReadAll(r.Body)
			if err != nil {
				t.Error(err)
			}
			fmt.Fprintf(rw, "%s %s", r.Method, content)
		}))
		w.visit("POST", "demo", "/", strings.Repeat("x", 200_000)).got(200, "POST "+strings.Repeat("x", 200_000))
		_ = s.Close()
		waitFor(t, func() bool { return w.Registry().Stats().Sessions == 0 })
	}
}

func carriesAWebSocket(t *testing.T) {
	w := newTown(t, gateway.Options{})
	w.serveOn(ways["PTTH"](w), http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.Method != "GET" || r.Header.Get("Upgrade") != "websocket" || len(r.Header.Get("Sec-WebSocket-Key")) != 24 {
			t.Errorf("request %s %v, want a WebSocket's", r.Method, r.Header)
		}
		conn, in, err := http.NewResponseController(rw).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Protocol: chat\r\n\r\n")
		_, _ = io.Copy(conn, in)
	}))
	s, resp := w.connect("websocket", w.Public().Base("demo"), http.Header{"Sec-Websocket-Version": {"13"}})
	if resp.StatusCode != 200 || resp.Header.Get("Sec-WebSocket-Protocol") != "chat" || resp.Header.Get("Sec-WebSocket-Accept") != "" {
		t.Fatalf("%d %v, want 200 of an extended CONNECT", resp.StatusCode, resp.Header)
	}
	back := bufio.NewReader(s)
	for _, line := range []string{"one\n", "two\n"} {
		_, _ = io.WriteString(s, line)
		if got, err := back.ReadString('\n'); got != line || err != nil {
			t.Fatalf("read %q %v, want %q", got, err, line)
		}
	}
}

// Browsers on HTTP/2 open WebSockets like this if the gateway allows it.
func carriesALink(t *testing.T) {
	w := newTown(t, gateway.Options{})
	claimed := w.claimed()
	s, resp := w.connect("websocket", strings.Replace(claimed.Link, "ws:", "http:", 1), http.Header{
		"Sec-Websocket-Version": {"13"}, "Sec-Websocket-Protocol": {"reversehttp.1"}, "Authorization": {"Bearer " + claimed.Token},
	})
	if resp.StatusCode != 200 || resp.Header.Get("Sec-WebSocket-Protocol") != "reversehttp.1" {
		t.Fatalf("%d %v, want 200 of an extended CONNECT", resp.StatusCode, resp.Header)
	}
	frame := make([]byte, 4) // text, and a length of two bytes
	if _, err := io.ReadFull(s, frame); err != nil || frame[0] != 0x81 || frame[1] != 126 {
		t.Fatalf("%x %v, want a text message", frame, err)
	}
	message := make([]byte, int(frame[2])<<8|int(frame[3]))
	if _, err := io.ReadFull(s, message); err != nil || !strings.Contains(string(message), `"type":"welcome"`) {
		t.Fatalf("%q %v, want a welcome", message, err)
	}
	_, _ = s.Write([]byte{0x88, 0x80, 0, 0, 0, 0}) // closes
	if rest, err := io.ReadAll(s); err != nil || len(rest) < 2 || rest[len(rest)-2] != 0x88 {
		t.Errorf("%x %v, want the end", rest, err)
	}
}
