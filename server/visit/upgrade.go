package visit

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http/httpguts"

	"reversehttp/schema"
	"reversehttp/server/claim"
	"reversehttp/server/intake"
	"reversehttp/server/problem"
	"reversehttp/server/quota"
	"reversehttp/server/wire"
)

// upgradeOf gives the protocol that a visitor asks to upgrade the connection to,
// where the gateway relays that; else "".
func upgradeOf(r *http.Request) string {
	if wire.Extended(r, "websocket") != "" { // RFC 8441, 5
		return "websocket"
	}
	if r.ProtoMajor != 1 || r.ProtoMinor == 0 || r.Method != http.MethodGet || r.ContentLength != 0 {
		return ""
	}
	if !httpguts.HeaderValuesContainsToken(r.Header["Connection"], "upgrade") || !httpguts.HeaderValuesContainsToken(r.Header["Upgrade"], "websocket") {
		return ""
	}
	return "websocket"
}

// badUpgrade refuses a request to upgrade to a WebSocket that no handler could accept, with
// the fields that RFC 6455, 4.2.2 and 4.4, asks for.
func badUpgrade(h http.Header, r *http.Request) *problem.Problem {
	switch version := r.Header["Sec-Websocket-Version"]; {
	case upgradeOf(r) == "":
		return nil
	case len(version) != 1:
		return &problem.Problem{Code: schema.CodeBadRequest, Detail: "A WebSocket is asked for with one Sec-WebSocket-Version, which is 13."}
	case version[0] != "13":
		h.Set("Sec-WebSocket-Version", "13")
		h.Set("Upgrade", "websocket") // RFC 9110, 15.5.22
		h.Set("Connection", "Upgrade")
		return &problem.Problem{Code: schema.CodeUpgradeNeeded, Detail: "This gateway relays version 13 of WebSocket; send Sec-WebSocket-Version: 13."}
	}
	if r.ProtoMajor == 1 && !wire.ValidKey(r.Header["Sec-Websocket-Key"]) {
		return &problem.Problem{Code: schema.CodeBadRequest, Detail: "A WebSocket is asked for with one Sec-WebSocket-Key: 16 bytes in base64."}
	}
	return nil
}

// tunnel is what a visitor sends on a connection after it was upgraded. It is
// there before, so that a session can ask for it and wait.
type tunnel struct {
	opened chan struct{} // closed when conn is set
	over   chan struct{} // closed when nobody is to read any more
	left   chan struct{} // closed when the program that fetches has left
	conn   net.Conn
	in     *bufio.Reader
	leave  func(err error) // the visitor sends no more
	meter  *quota.Meter
	x      *claim.Exchange
	mu     sync.Mutex // held while somebody reads
	drop   sync.Once  // of Close
}

func newTunnel(m *quota.Meter, x *claim.Exchange) *tunnel {
	return &tunnel{meter: m, x: x, opened: make(chan struct{}), over: make(chan struct{}), left: make(chan struct{})}
}

// open gives the connection, once. leave is called with what ended the reading.
func (t *tunnel) open(conn net.Conn, in *bufio.Reader, leave func(error)) {
	t.conn, t.in, t.leave = conn, in, leave
	close(t.opened)
}

// Read reads what the visitor sends next. However the visitor ends that, it is
// [io.EOF]: the bytes have their own end, of which the gateway knows nothing.
func (t *tunnel) Read(into []byte) (int, error) {
	select {
	case <-t.opened:
	case <-t.over:
		return 0, io.EOF
	case <-t.left:
		return 0, errStopped
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	select {
	case <-t.over:
		return 0, io.EOF
	case <-t.left: // before the connection was there to be given a deadline
		return 0, errStopped
	default:
	}
	n, err := t.in.Read(into)
	if over := t.meter.In(n); over != nil {
		t.x.Reject(over)
		return 0, io.EOF
	}
	select {
	case <-t.left:
		return n, errStopped
	default:
	}
	if err != nil {
		t.leave(err)
		err = io.EOF
	}
	return n, err
}

// Close ends the reading because the program has left. A visitor may be silent for long,
// and meanwhile the session would be held for busy.
func (t *tunnel) Close() error {
	t.drop.Do(func() {
		close(t.left)
		select {
		case <-t.opened:
			_ = t.conn.SetReadDeadline(intake.Past)
		default:
		}
	})
	return nil
}

// end lets nobody read any more, and waits for who does.
func (t *tunnel) end() {
	close(t.over)
	if t.conn != nil {
		_ = t.conn.SetReadDeadline(intake.Past)
		t.mu.Lock()
		defer t.mu.Unlock()
	}
}

// Length returns -1: the visitor ends it at any time.
func (t *tunnel) Length() int64 { return -1 }

// Trailers returns nil: an upgraded connection has none.
func (t *tunnel) Trailers() []claim.Field { return nil }

// farewell is how long the handler may be silent when the visitor sends no more: they may have
// ended their side only, and read on.
const farewell = 5 * time.Second

// relayUpgrade upgrades the visitor's connection and relays what the handler sends
// on it.
func (s *visit) relayUpgrade(a *claim.Answer, t *tunnel) {
	x, hold := s.x, s.hold
	conn, in, head, err := s.acceptUpgrade(s.w, s.r, s.label, x, a)
	if err != nil {
		t.end() // a program that asks for what the visitor sends waits no more
		x.Fail(claim.ErrVisitorGone)
		panic(http.ErrAbortHandler)
	}
	defer conn.Close()
	hold.Evictable(func(why error) {
		x.Reject(why)
		_ = conn.SetWriteDeadline(intake.Past)
	})
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var leaving atomic.Pointer[time.Timer]
	t.open(conn, in, func(err error) {
		if errors.Is(err, io.EOF) {
			leaving.Store(time.AfterFunc(farewell, cancel))
		} else {
			cancel()
		}
	})
	chunks := [][]byte{head, a.Content}
	a.Content = nil // it need not stay until the end
	for {
		for _, content := range chunks {
			if len(content) == 0 {
				continue
			}
			if over := s.meter.Out(len(content)); over != nil {
				t.end()
				s.cut(over)
				return
			}
			_ = conn.SetWriteDeadline(time.Now().Add(wire.WriteTime(len(content))))
			hold.Wait()
			_, err := conn.Write(content)
			hold.Move(len(content))
			if err != nil {
				t.end()
				x.Fail(claim.ErrVisitorGone)
				return
			}
			if end := leaving.Load(); end != nil && end.Stop() {
				end.Reset(farewell)
			}
		}
		if chunks, err = x.Next(ctx); err != nil {
			break
		}
	}
	t.end()
	if half, ok := conn.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
}

// acceptUpgrade gives the connection that is upgraded, how to read from it, and the head
// that is to be written on it first. In HTTP/2 it is a stream, whose head is written.
func (v *Visits) acceptUpgrade(w http.ResponseWriter, r *http.Request, label string, x *claim.Exchange, a *claim.Answer) (net.Conn, *bufio.Reader, []byte, error) {
	if r.ProtoMajor == 2 {
		h := w.Header()
		v.relayFields(h, label, a.Fields, nil)
		h["Via"] = append(h["Via"], v.Public.Via("1.1", label))
		delete(h, "Sec-Websocket-Accept") // RFC 8441, 5
		conn, err := wire.Accept(w, r)
		return conn, bufio.NewReader(conn), nil, err
	}
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil, nil, nil, err
	}
	return conn, rw.Reader, v.headOf101(r, label, x, a), nil
}

// headOf101 is the head that tells the visitor that its connection is upgraded.
func (v *Visits) headOf101(r *http.Request, label string, x *claim.Exchange, a *claim.Answer) []byte {
	h := http.Header{}
	v.relayFields(h, label, a.Fields, nil)
	h["Via"] = append(h["Via"], v.Public.Via("1.1", label))
	h["Connection"], h["Upgrade"] = []string{"Upgrade"}, []string{x.Request().Upgrade}
	if _, set := h["Sec-Websocket-Accept"]; !set {
		h["Sec-Websocket-Accept"] = []string{acceptKey(r.Header.Get("Sec-WebSocket-Key"))}
	}
	var b bytes.Buffer
	b.WriteString("HTTP/1.1 101 Switching Protocols\r\n")
	_ = h.Write(&b)
	b.WriteString("\r\n")
	return b.Bytes()
}

// newKey makes a key for a request that came without one (RFC 6455, 4.1).
func newKey() string {
	var nonce [16]byte
	_, _ = rand.Read(nonce[:])
	return base64.StdEncoding.EncodeToString(nonce[:])
}

// acceptKey answers a key (RFC 6455, 4.2.2).
func acceptKey(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}
