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

// ListenTLS wraps a listener as [Listen] does, with TLS below, so that HTTP works the same over TLS
// as in the clear. It uses a copy of config with the settings that HTTP/2 requires. If ALPN (RFC
// 7301) selects one of protocols, its function gets the connection, which is closed when the
// function returns.
//
// Closing the listener ends handshakes and connections of protocols, and waits until their
// functions return.
func (p *Port) ListenTLS(l net.Listener, config *tls.Config, protocols map[string]func(*tls.Conn)) net.Listener {
	config = config.Clone()
	// The first protocol that the peer supports is selected. Newer versions of a protocol come
	// first.
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

// cipherSuites are those of TLS 1.2 that Go has and HTTP/2 does not prohibit (RFC 9113, appendix
// A). HTTP/2 requires TLS 1.2 or later (RFC 9113, 9.2).
var cipherSuites = []uint16{
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
}

// tlsListener does each handshake on a goroutine of its own, so that slow peers do not delay
// others. The listener below bounds their number.
type tlsListener struct {
	*listener
	port      *Port
	config    *tls.Config
	protocols map[string]func(*tls.Conn)
}

// serve hands a connection over after its handshake, by the protocol that ALPN selected.
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

// refusePlain answers a peer that speaks HTTP without TLS.
func (l *tlsListener) refusePlain(below net.Conn) {
	c := &conn{Conn: below, refusal: l.port.refuse}
	if c.refuse(schema.CodeBadRequest, "The request came without TLS to a port that speaks TLS; use https.") == nil {
		_ = c.CloseWrite()
	}
}

// unsealed is a TLS connection after its handshake. It hides the TLS from net/http, which would
// otherwise not look for the preface of HTTP/2.
type unsealed struct {
	*tls.Conn
	closing *atomic.Int64 // counts connections that are being closed
	cut     atomic.Bool
}

// SetLinger makes Close reset the TCP connection without a close_notify, since a peer takes the end
// of a connection for a clean one only if it gets that (RFC 8446, 6.1).
func (c *unsealed) SetLinger(seconds int) error {
	c.cut.Store(true)
	if l, ok := c.NetConn().(lingerer); ok {
		return l.SetLinger(seconds)
	}
	return nil
}

// Close sends close_notify and closes the connection. It waits for neither, because the peer may
// not read for a while and net/http closes connections one by one when it stops. [Port.Close]
// waits.
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

// closeTime bounds how long sending close_notify may take.
const closeTime = time.Second
