package wire

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	proxyproto "github.com/pires/go-proxyproto"
)

// Proxied wraps a listener of TCP whose connections come from a proxy that says before all else whom it speaks for, by the PROXY protocol
// (version 1 or 2). What it says is the address of the connection from then on. That is asked of the peers that are trusted, and a
// connection of theirs that does not say it within a time is closed; others speak for themselves, and are closed where they begin so.
// [Port.Limit] wraps what Proxied returns.
func Proxied(l net.Listener, trusted func(net.Addr) bool, within time.Duration) net.Listener {
	p := &proxied{Listener: l, trusted: trusted, within: within, free: make(chan struct{}, mostUnsaid), ready: make(chan acceptance, mostUnsaid)}
	go p.accept()
	return p
}

// mostUnsaid bounds the connections of which it is not known yet whom they are for, or that wait to be accepted.
const mostUnsaid = 256

type proxied struct {
	net.Listener
	trusted func(net.Addr) bool
	within  time.Duration
	free    chan struct{} // has one for each of them
	ready   chan acceptance
	reading sync.WaitGroup
	mu      sync.Mutex // guards closed
	closed  bool
}

// accept accepts until the listener is closed. Each connection says whom it is for on a goroutine of its own.
func (p *proxied) accept() {
	for {
		p.free <- struct{}{}
		c, err := p.Listener.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			p.reading.Wait()
			close(p.ready)
			return
		case err != nil:
			p.ready <- acceptance{err: err}
		case !p.trusted(c.RemoteAddr()):
			p.ready <- acceptance{conn: c}
		default:
			p.reading.Go(func() { p.read(c.(*net.TCPConn)) })
		}
	}
}

// read reads whom a connection is for, and nothing that follows.
func (p *proxied) read(c *net.TCPConn) {
	_ = c.SetReadDeadline(time.Now().Add(p.within))
	said, err := headerOf(c)
	_ = c.SetReadDeadline(time.Time{})
	var remote net.Addr
	if err == nil {
		var header *proxyproto.Header
		if header, err = proxyproto.Read(bufio.NewReader(bytes.NewReader(said))); err == nil {
			remote = whomFor(header, c.RemoteAddr())
		}
	}
	if remote == nil {
		_ = c.Close()
		<-p.free
		return
	}
	p.ready <- acceptance{conn: &proxiedConn{TCPConn: c, remote: remote}}
}

// whomFor returns whom a connection is for: who a header says, or the peer, where that speaks for itself, as to look whether anybody is
// there. It returns nil where a header does not say: what a visitor sends must not count as the proxy's word.
func whomFor(header *proxyproto.Header, peer net.Addr) net.Addr {
	if header.Version == 2 && header.Command.IsLocal() {
		return peer
	}
	if source, _, ok := header.TCPAddrs(); ok {
		return source
	}
	return nil
}

// Accept waits for a connection that said whom it is for. After Close it gives those that were accepted before.
func (p *proxied) Accept() (net.Conn, error) {
	a, ok := <-p.ready
	if !ok {
		return nil, net.ErrClosed
	}
	<-p.free
	return a.conn, a.err
}

// Close closes the listener; called again, it closes what nobody has accepted by then.
func (p *proxied) Close() error {
	p.mu.Lock()
	again := p.closed
	p.closed = true
	p.mu.Unlock()
	err := p.Listener.Close()
	for again {
		select {
		case a, ok := <-p.ready:
			if again = ok; ok && a.conn != nil {
				_ = a.conn.Close()
			}
		default:
			return err
		}
	}
	return err
}

// headerOf reads a header of the PROXY protocol, and nothing that follows.
func headerOf(c io.Reader) ([]byte, error) {
	const mostLine, mostAddresses = 107, 2048 // of version 1, and more than version 2 says of a visitor
	b := make([]byte, 16, mostLine)
	if _, err := io.ReadFull(c, b[:12]); err != nil {
		return nil, err
	}
	if bytes.Equal(b[:12], proxyproto.SIGV2) {
		if _, err := io.ReadFull(c, b[12:]); err != nil {
			return nil, err
		}
		n := int(binary.BigEndian.Uint16(b[14:]))
		if n > mostAddresses {
			return nil, errors.New("wire: the header of a proxy is too long")
		}
		b = append(b, make([]byte, n)...)
		_, err := io.ReadFull(c, b[16:])
		return b, err
	}
	for b = b[:12]; !bytes.HasSuffix(b, []byte("\n")) && len(b) < mostLine; {
		b = append(b, 0)
		if _, err := io.ReadFull(c, b[len(b)-1:]); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// proxiedConn is a connection for somebody else than its peer.
type proxiedConn struct {
	*net.TCPConn
	remote net.Addr
}

// RemoteAddr returns whom the connection is for.
func (c *proxiedConn) RemoteAddr() net.Addr { return c.remote }
