package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	// How long a local server may take to accept a connection.
	dialTimeout = 10 * time.Second
	// How long one that was not there yet is waited for, and how often it is looked for.
	absentMost  = 5 * time.Second
	absentEvery = 100 * time.Millisecond
	// How long one may take to answer the preface of HTTP/2.
	prefaceTimeout = time.Second
	// Bytes of the head of a frame (RFC 9113, 4.1).
	frameHead = 9
)

// How long a server that speaks HTTP/2 alone may take to say so by itself. Tests wait for longer.
var aloneTimeout = 300 * time.Millisecond

var (
	errFramed    = errors.New("it speaks HTTP/2 without being asked for it")
	errUnframed  = errors.New("it does not speak HTTP/2")
	errNoUpgrade = errors.New("it speaks HTTP/2 only, by which no WebSocket is relayed")
)

// origin is the local server: it makes connections to it and asks it. A server of HTTP/2 alone is known by its first frame,
// which it sends at once, or in place of an answer: it has seen no request then, so that one is asked again.
type origin struct {
	target   *url.URL
	socket   string          // path of a Unix socket; empty for a server on a port
	always   bool            // HTTP/2
	plain    *http.Transport // HTTP/1.1
	framed   *http.Transport // HTTP/2 alone
	isFramed atomic.Bool
	life     context.Context // nobody waits for a connection after it
	end      context.CancelFunc
	met      atomic.Bool // it was there
	absent   sync.Once
	waits    func()      // called once, when it is not there yet
	isPlain  atomic.Bool // there was an answer in HTTP/1.1
	unframed atomic.Bool // it answered HTTP/2 with HTTP/1.1
}

func newOrigin(at target, config *tls.Config, framed bool, waits func()) *origin {
	o := &origin{target: at.url, socket: at.socket, always: framed, waits: waits}
	o.life, o.end = context.WithCancel(context.Background())
	o.isFramed.Store(framed)
	o.plain = &http.Transport{
		// No Proxy: the server is local. No compression: content is exact.
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			return o.connect(ctx, network, addr, nil, o.mustBePlain)
		},
		DialTLSContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			return o.connect(ctx, network, addr, config, o.mustBePlain)
		},
		DisableCompression:  true,
		MaxIdleConnsPerHost: 128,
		IdleConnTimeout:     time.Minute,
	}
	o.framed = &http.Transport{
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			return o.connect(ctx, network, addr, nil, o.mustBeFramed)
		},
		TLSClientConfig:     config,
		TLSHandshakeTimeout: dialTimeout,
		DisableCompression:  true,
		IdleConnTimeout:     time.Minute,
		Protocols:           new(http.Protocols),
	}
	o.framed.Protocols.SetHTTP2(true)
	o.framed.Protocols.SetUnencryptedHTTP2(true)
	return o
}

// mustBePlain looks at the first bytes of a server that was asked by HTTP/1.1. A connection of HTTP/2 begins with SETTINGS
// (RFC 9113, 3.4).
func (o *origin) mustBePlain(first []byte) error {
	const settings = 4
	if len(first) < frameHead || first[0] != 0 || first[3] != settings || !bytes.Equal(first[5:9], make([]byte, 4)) {
		return nil
	}
	o.isFramed.Store(true)
	return errFramed
}

// mustBeFramed is the same for one that was asked by HTTP/2. net/http does not pass its error on.
func (o *origin) mustBeFramed(first []byte) error {
	if bytes.HasPrefix(first, []byte("HTTP/")) {
		o.unframed.Store(true)
		return errUnframed
	}
	return nil
}

// connect makes a connection of TLS where there is a config for it.
func (o *origin) connect(ctx context.Context, network, addr string, config *tls.Config, first func([]byte) error) (net.Conn, error) {
	c, err := o.dial(ctx, network, addr)
	if err != nil || config == nil {
		return &originConn{Conn: c, first: first}, err
	}
	config = config.Clone()
	config.ServerName = o.target.Hostname()
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	secure := tls.Client(c, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		c.Close()
		return nil, err
	}
	return &originConn{Conn: secure, first: first}, nil
}

// dial makes a connection to the local server. It waits for one that was not there yet.
func (o *origin) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	defer context.AfterFunc(o.life, cancel)()
	until := time.Now().Add(absentMost)
	if o.socket != "" {
		network, addr = "unix", o.socket
	}
	for {
		c, err := dialOnce(ctx, network, addr)
		if err == nil {
			o.met.Store(true)
			return c, nil
		}
		if o.met.Load() || !isAbsent(err) || time.Now().After(until) {
			return nil, err
		}
		o.absent.Do(o.waits)
		select {
		case <-time.After(absentEvery):
		case <-ctx.Done():
			return nil, err
		}
	}
}

// isAbsent reports whether nothing listens. A Unix socket may not exist yet.
func isAbsent(err error) bool {
	var op *net.OpError
	return errors.Is(err, syscall.ECONNREFUSED) || errors.As(err, &op) && op.Op == "dial" && op.Net == "unix" && errors.Is(err, syscall.ENOENT)
}

// dialOnce knows that localhost and every name below it is this machine, by both kinds of addresses (RFC 6761, 6.3), which
// not every resolver does.
func dialOnce(ctx context.Context, network, addr string) (net.Conn, error) {
	d := &net.Dialer{Timeout: dialTimeout}
	host, port, err := net.SplitHostPort(addr)
	if host = strings.ToLower(host); err != nil || host != "localhost" && !strings.HasSuffix(host, ".localhost") {
		return d.DialContext(ctx, network, addr)
	}
	c, err := d.DialContext(ctx, network, net.JoinHostPort("127.0.0.1", port))
	if err == nil {
		return c, nil
	}
	if c, other := d.DialContext(ctx, network, net.JoinHostPort("::1", port)); other == nil {
		return c, nil
	}
	return nil, err
}

// RoundTrip asks the local server for the target of a request, byte for byte.
func (o *origin) RoundTrip(r *http.Request) (*http.Response, error) {
	switch empty := r.Body == nil || r.Body == http.NoBody; {
	case o.isFramed.Load(), isGRPC(r):
		return o.askFramed(r)
	case o.isPlain.Load():
		return o.askPlain(r)
	case empty:
		resp, err := o.askPlain(r)
		if err == nil {
			return resp, nil
		}
		return o.again(r, err, func() bool { return true })
	}
	kept := newKeptContent(r.Body)
	body, first := kept.reader(), *r
	first.Body = body
	resp, err := o.askPlain(&first)
	if err == nil {
		return resp, nil
	}
	body.Close()
	again := *r
	again.Body = kept.reader()
	return o.again(&again, err, kept.whole)
}

// again asks once more, by HTTP/2, where that is the only way and nothing has begun.
func (o *origin) again(r *http.Request, err error, whole func() bool) (*http.Response, error) {
	found, alone := o.find(r.Context(), err)
	switch {
	case !found:
		return nil, err
	case (alone || isSafe(r.Method)) && whole():
		return o.askFramed(r)
	}
	return nil, errFramed
}

// isGRPC reports whether a request is one of gRPC, which needs HTTP/2.
func isGRPC(r *http.Request) bool {
	kind, ok := strings.CutPrefix(r.Header.Get("Content-Type"), "application/grpc")
	return ok && (kind == "" || kind[0] == '+' || kind[0] == ';')
}

// isSafe reports whether a request does no harm that is made twice.
func isSafe(method string) bool {
	return method == http.MethodGet || method == http.MethodHead || method == http.MethodOptions
}

// find finds out whether a server that closed the connection without an answer speaks HTTP/2 without TLS. One that is alone
// with it says so at once, though what it said may have been lost with the connection. Others wait for the preface (RFC 9113,
// 3.4): they may speak HTTP/1.1 too, and have begun with the request.
func (o *origin) find(ctx context.Context, err error) (found, alone bool) {
	if o.isFramed.Load() {
		return true, true
	}
	if o.target.Scheme != "http" || !isClosed(err) {
		return false, false
	}
	c, err := o.dial(ctx, "tcp", authorityOf(o.target))
	if err != nil {
		return false, false
	}
	defer c.Close()
	first := make([]byte, frameHead)
	_ = c.SetDeadline(time.Now().Add(aloneTimeout))
	if n, err := io.ReadFull(c, first); err == nil {
		alone = o.mustBePlain(first) == errFramed
		return alone, alone
	} else if n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		return false, false
	}
	_ = c.SetDeadline(time.Now().Add(prefaceTimeout))
	if _, err := io.WriteString(c, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"); err != nil {
		return false, false
	}
	_, err = io.ReadFull(c, first)
	return err == nil && o.mustBePlain(first) == errFramed, false
}

// isClosed reports whether a server closed the connection without an answer.
func isClosed(err error) bool {
	for _, closed := range []error{io.EOF, io.ErrUnexpectedEOF, syscall.ECONNRESET, syscall.EPIPE, net.ErrClosed} {
		if errors.Is(err, closed) {
			return true
		}
	}
	return false
}

// authorityOf returns host and port.
func authorityOf(u *url.URL) string { return net.JoinHostPort(hostPort(u.Scheme, u.Host)) }

func (o *origin) askPlain(r *http.Request) (*http.Response, error) {
	authority := ""
	if strings.HasPrefix(r.URL.Opaque, "//") {
		// net/url puts a scheme in front of what it takes for a host.
		authority = r.URL.Scheme + "://" + r.URL.Host
		u := *r.URL
		u.Opaque = "//" + u.Host + u.Opaque
		to := *r
		to.URL = &u
		r = &to
	}
	var carrier *originConn
	if authority != "" || r.Body != nil && r.Body != http.NoBody {
		r = r.WithContext(httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{GotConn: func(got httptrace.GotConnInfo) {
			if c, ok := got.Conn.(*originConn); ok {
				carrier = c
				c.without = authority
				_ = c.carry(r.Body)
			}
		}}))
	}
	resp, err := o.plain.RoundTrip(r)
	if carrier != nil {
		if failed := carrier.carry(nil); failed != nil && errors.Is(err, http.ErrBodyReadAfterClose) {
			err = failed
		}
	}
	if err == nil {
		o.isPlain.Store(true)
	}
	return resp, err
}

func (o *origin) askFramed(r *http.Request) (*http.Response, error) {
	if r.Header.Get("Upgrade") != "" {
		return nil, errNoUpgrade
	}
	if strings.HasPrefix(r.URL.Opaque, "//") {
		// In HTTP/2 net/http takes scheme and host off again.
		host := r.Host
		if host == "" {
			host = r.URL.Host
		}
		u := *r.URL
		u.Opaque = "//" + host + u.Opaque
		to := *r
		to.URL = &u
		r = &to
	}
	resp, err := o.framed.RoundTrip(r)
	if err != nil && o.unframed.Swap(false) {
		o.isFramed.Store(o.always) // it was another server before
		return nil, errUnframed
	}
	return resp, err
}

func (o *origin) close() {
	o.end()
	o.plain.CloseIdleConnections()
	o.framed.CloseIdleConnections()
}

// originConn is a connection to the local server.
type originConn struct {
	net.Conn
	// without stands before the next target that is written, and is left out. It is set before the request is handed to
	// the goroutine that writes.
	without string
	// first looks at the first bytes that come.
	first func([]byte) error
	read  bool

	mu      sync.Mutex // guards what follows
	content io.Closer  // of the request that waits for an answer
	failed  error      // why nothing can be read any more
}

func (c *originConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if !c.read && n > 0 {
		c.read = true
		if first := c.first(p[:n]); first != nil {
			n, err = 0, first
		}
	}
	if err != nil {
		c.mu.Lock()
		c.failed = err
		content := c.content
		c.mu.Unlock()
		if content != nil {
			content.Close()
		}
	}
	return n, err
}

// carry sets the content of the request that waits for an answer. It is closed when no answer can come any more: net/http
// waits for a Read of it, and a visitor who waits for an answer sends nothing. It returns why the connection failed, if it has.
func (c *originConn) carry(content io.Closer) error {
	c.mu.Lock()
	c.content = content
	failed := c.failed
	c.mu.Unlock()
	if failed != nil && content != nil {
		content.Close()
	}
	return failed
}

func (c *originConn) Write(p []byte) (int, error) {
	if c.without == "" {
		return c.Conn.Write(p)
	}
	authority := c.without
	c.without = ""
	method, rest, _ := bytes.Cut(p, []byte(" "))
	target, ok := bytes.CutPrefix(rest, []byte(authority))
	if !ok {
		return c.Conn.Write(p)
	}
	n, err := c.Conn.Write(append(append(make([]byte, 0, len(p)), method...), append([]byte(" "), target...)...))
	if n > len(method) {
		n += len(authority)
	}
	return n, err
}

// CloseWrite ends one side of a connection that was upgraded.
func (c *originConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return http.ErrNotSupported
}
