package wire

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"reversehttp/schema"
)

// ListenTLS wraps a listener as [Listen] does, with TLS below, so that HTTP is
// the same over TLS as in the clear. It sets what HTTP/2 asks of TLS in a copy of
// config. Peers who choose one of protocols by its name in ALPN (RFC 7301) go to
// its function, which has the connection until it returns.
//
// Close ends handshakes and the connections of protocols, and waits until those
// functions return.
func (p *Port) ListenTLS(l net.Listener, config *tls.Config, protocols map[string]func(*tls.Conn)) net.Listener {
	config = config.Clone()
	// The first one that a peer knows counts: of what has versions, the last.
	config.NextProtos = []string{"h2", "http/1.1"}
	for name := range protocols {
		config.NextProtos = append(config.NextProtos, name)
	}
	slices.Sort(config.NextProtos[2:])
	slices.Reverse(config.NextProtos[2:])
	config.CipherSuites = cipherSuites
	t := &tlsListener{listener: newListener(l), port: p, config: config, protocols: protocols}
	go t.accept(func(c net.Conn) { t.running.Go(func() { t.serve(c) }) })
	return t
}

// cipherSuites are those of TLS 1.2 that HTTP/2 does not prohibit (RFC 9113,
// appendix A) and that Go has. What is older has none of them (RFC 9113, 9.2).
var cipherSuites = []uint16{
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
}

// tlsListener shakes hands on a goroutine for each connection,
// so that nobody who is slow holds up others. How many there are is for the
// listener below to bound.
type tlsListener struct {
	*listener
	port      *Port
	config    *tls.Config
	protocols map[string]func(*tls.Conn)
}

// serve gives a connection away once it is known what is spoken on it.
func (l *tlsListener) serve(below net.Conn) {
	given := false
	stay := context.AfterFunc(l.ctx, func() { _ = below.Close() })
	defer func() {
		if v := recover(); v != nil {
			l.port.caught(v)
		}
		if stay(); !given {
			_ = below.Close()
		}
	}()
	c := tls.Server(below, l.config)
	if most := l.port.options.HeadTime; most > 0 {
		_ = below.SetDeadline(time.Now().Add(most))
	}
	if err := c.Handshake(); err != nil {
		l.port.options.Log.Debug("tls handshake failed", "peer", below.RemoteAddr().String(), "error", err.Error())
		var plain tls.RecordHeaderError
		if errors.As(err, &plain) && plain.Conn != nil && 'A' <= plain.RecordHeader[0] && plain.RecordHeader[0] <= 'Z' {
			l.refusePlain(below)
		}
		return
	}
	_ = below.SetDeadline(time.Time{})
	at := seatOf(below)
	chosen := c.ConnectionState().NegotiatedProtocol
	if p := l.protocols[chosen]; p != nil {
		at.note(http.StateHijacked)
		p(c)
		_ = c.Close()
		return
	}
	a := newAccepted(&unsealed{Conn: c, closing: &l.port.closing}, l.listener, at)
	a.chosen = chosen == "h2"
	given = stay() && l.give(acceptance{conn: a})
}

// refusePlain tells a peer who speaks HTTP without TLS that this is amiss.
func (l *tlsListener) refusePlain(below net.Conn) {
	c := &conn{Conn: below, refusal: l.port.refuse}
	if c.refuse(schema.CodeBadRequest, "The request came without TLS to a port that speaks TLS; use https.") == nil {
		_ = c.CloseWrite()
	}
}

// unsealed is a connection over TLS after its handshake. net/http is not to know
// that it is one: it would look for the preface of HTTP/2 no more.
type unsealed struct {
	*tls.Conn
	closing *atomic.Int64 // counts those that are told so
	cut     atomic.Bool
}

// SetLinger has Close do below TLS what it does in TCP, at once: a peer takes
// the end for a clean one only where TLS tells of it (RFC 8446, 6.1).
func (c *unsealed) SetLinger(seconds int) error {
	c.cut.Store(true)
	if l, ok := c.NetConn().(lingerer); ok {
		return l.SetLinger(seconds)
	}
	return nil
}

// Close tells the peer, and closes the connection. It waits for neither, since
// the peer may take nothing for a while, and net/http closes all connections in
// turn when it stops. [Port.Close] waits.
func (c *unsealed) Close() error {
	if c.cut.Load() {
		return c.NetConn().Close()
	}
	c.closing.Add(1)
	go func() {
		defer c.closing.Add(-1)
		_ = c.Conn.Close()
	}()
	return nil
}

// closeTime is how long peers may take to be told that their connections end.
const closeTime = time.Second
