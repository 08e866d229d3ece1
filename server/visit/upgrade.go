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
	"os"
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

// upgradeOf returns the protocol to which a visitor asks to upgrade the connection, or "" if there
// is none that the gateway relays.
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

// badUpgrade returns the problem of a request for a WebSocket that no handler could accept, and
// sets the fields that RFC 6455, 4.2.2 and 4.4, requires.
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

// tunnel is what a visitor sends on an upgraded connection. It exists before the upgrade, so that a
// session can fetch it and wait.
type tunnel struct {
	opened chan struct{} // closed when conn is set
	over   chan struct{} // closed when reading has to stop
	left   chan struct{} // closed when the program that fetches has left
	conn   net.Conn
	in     *bufio.Reader
	leave  func(err error) // called when the visitor sends no more
	meter  *quota.Meter
	x      *claim.Exchange
	mu     sync.Mutex // held while somebody reads
	drop   sync.Once  // of Close
}

func newTunnel(m *quota.Meter, x *claim.Exchange) *tunnel {
	return &tunnel{meter: m, x: x, opened: make(chan struct{}), over: make(chan struct{}), left: make(chan struct{})}
}

// open sets the connection, once. leave is called with the error that ended the reading.
func (t *tunnel) open(conn net.Conn, in *bufio.Reader, leave func(error)) {
	t.conn, t.in, t.leave = conn, in, leave
	close(t.opened)
}

// Read reads what the visitor sends next. However the visitor ends it, Read returns [io.EOF]: the
// protocol on the connection marks its own end, which the gateway does not know.
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
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		t.leave(err) // also when the program has left, for nobody may read again
	}
	select {
	case <-t.left:
		return n, errStopped
	default:
	}
	if err != nil {
		err = io.EOF
	}
	return n, err
}

// Close ends the reading because the program has left. Otherwise a silent visitor would make the
// session look busy.
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

// end stops further reads and waits for one in progress.
func (t *tunnel) end() {
	close(t.over)
	if t.conn != nil {
		_ = t.conn.SetReadDeadline(intake.Past)
		t.mu.Lock()
		defer t.mu.Unlock()
	}
}

// Length returns -1: the visitor may end at any time.
func (t *tunnel) Length() int64 { return -1 }

// Trailers returns nil: an upgraded connection has none.
func (t *tunnel) Trailers() []claim.Field { return nil }

// farewell is how long the handler may be silent when called when the visitor sends no more: they
// may have ended their side only, and read on.
const farewell = 5 * time.Second

// relayUpgrade upgrades the visitor's connection and relays what the handler sends
// on it.
func (s *visit) relayUpgrade(a *claim.Answer, t *tunnel) {
	x, hold := s.x, s.hold
	conn, in, head, err := s.acceptUpgrade(s.w, s.r, s.label, x, a)
	if err != nil {
		t.end() // so that a program that fetches what the visitor sends does not wait
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

// acceptUpgrade returns the upgraded connection, its reader, and the head to write on it first. In
// HTTP/2 the connection is a stream whose head is already written.
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

// headOf101 returns the head of the response that upgrades the visitor's connection.
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

// newKey returns a key for a request that has none (RFC 6455, 4.1).
func newKey() string {
	var nonce [16]byte
	_, _ = rand.Read(nonce[:])
	return base64.StdEncoding.EncodeToString(nonce[:])
}

// acceptKey returns the Sec-WebSocket-Accept value for a key (RFC 6455, 4.2.2).
func acceptKey(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}
