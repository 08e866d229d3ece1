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

// Proxied wraps a TCP listener behind a proxy that begins each connection with the visitor's
// address, in the PROXY protocol (version 1 or 2). That becomes the remote address of the
// connection. A connection of a trusted peer that does not send the header in time is closed.
// Connections of other peers keep their own address, and are closed if they begin with a header.
// Pass the result to [Port.Limit].
func Proxied(l net.Listener, trusted func(net.Addr) bool, within time.Duration) net.Listener {
	p := &proxied{Listener: l, trusted: trusted, within: within, free: make(chan struct{}, mostUnsaid), ready: make(chan acceptance, mostUnsaid)}
	go p.accept()
	return p
}

// mostUnsaid bounds the connections that have not sent their header yet or wait to be accepted.
const mostUnsaid = 256

type proxied struct {
	net.Listener
	trusted func(net.Addr) bool
	within  time.Duration
	free    chan struct{} // has one element for each of them
	ready   chan acceptance
	reading sync.WaitGroup
	mu      sync.Mutex // guards closed
	closed  bool
}

// accept accepts connections until the listener is closed, and reads the header of each on a
// goroutine of its own.
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

// read reads the header of a connection, and nothing after it.
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

// whomFor returns the address that a connection is for: the source in the header, or the peer if
// the proxy connects on its own behalf, as health checks do. It returns nil if the header has no
// address, so that bytes of a visitor never count as the proxy's.
func whomFor(header *proxyproto.Header, peer net.Addr) net.Addr {
	if header.Version == 2 && header.Command.IsLocal() {
		return peer
	}
	if source, _, ok := header.TCPAddrs(); ok {
		return source
	}
	return nil
}

// Accept waits for a connection whose address is known. After Close it still returns those that
// were accepted before.
func (p *proxied) Accept() (net.Conn, error) {
	a, ok := <-p.ready
	if !ok {
		return nil, net.ErrClosed
	}
	<-p.free
	return a.conn, a.err
}

// Close closes the listener. A second call closes the connections that Accept has not returned.
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

// headerOf reads a header of the PROXY protocol, and nothing after it.
func headerOf(c io.Reader) ([]byte, error) {
	const mostLine, mostAddresses = 107, 2048 // the longest line of version 1, and more than the addresses of version 2 need
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

// proxiedConn is a connection on behalf of somebody other than its peer.
type proxiedConn struct {
	*net.TCPConn
	remote net.Addr
}

// RemoteAddr returns the address that the connection is for.
func (c *proxiedConn) RemoteAddr() net.Addr { return c.remote }
