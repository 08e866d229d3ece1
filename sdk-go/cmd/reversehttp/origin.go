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
	// How long to wait for a server that does not listen yet, and how often to try.
	absentMost  = 5 * time.Second
	absentEvery = 100 * time.Millisecond
	// How long a server may take to answer the preface of HTTP/2.
	prefaceTimeout = time.Second
	// The size of the head of a frame (RFC 9113, 4.1), in bytes.
	frameHead = 9
)

// How long a server that speaks only HTTP/2 may take to send its first frame. Tests wait longer.
var aloneTimeout = 300 * time.Millisecond

var (
	errFramed    = errors.New("it speaks HTTP/2 without being asked for it")
	errUnframed  = errors.New("it does not speak HTTP/2")
	errNoUpgrade = errors.New("it speaks HTTP/2 only, by which no WebSocket is relayed")
)

// origin connects to the local server and sends it requests. A server that speaks only HTTP/2 is
// recognised by its first frame, which it sends at once or in place of an answer. It has not seen
// the request then, so the request is sent again.
type origin struct {
	target   *url.URL
	socket   string          // path of a Unix socket; empty for a server on a port
	always   bool            // HTTP/2 was asked for
	plain    *http.Transport // HTTP/1.1
	framed   *http.Transport // HTTP/2 only
	isFramed atomic.Bool
	life     context.Context // ends waiting for connections
	end      context.CancelFunc
	met      atomic.Bool // the server has been reached
	absent   sync.Once
	waits    func()      // called once, if the server does not listen yet
	isPlain  atomic.Bool // the server has answered in HTTP/1.1
	unframed atomic.Bool // the server answered HTTP/2 with HTTP/1.1
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

// mustBePlain checks the first bytes of a server after an HTTP/1.1 request. An HTTP/2 connection
// begins with SETTINGS (RFC 9113, 3.4).
func (o *origin) mustBePlain(first []byte) error {
	const settings = 4
	if len(first) < frameHead || first[0] != 0 || first[3] != settings || !bytes.Equal(first[5:9], make([]byte, 4)) {
		return nil
	}
	o.isFramed.Store(true)
	return errFramed
}

// mustBeFramed checks the same after an HTTP/2 request. net/http does not return its error.
func (o *origin) mustBeFramed(first []byte) error {
	if bytes.HasPrefix(first, []byte("HTTP/")) {
		o.unframed.Store(true)
		return errUnframed
	}
	return nil
}

// connect makes a connection, with TLS if config is not nil.
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

// dial makes a connection to the local server. It waits for a server that was never reached.
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

// isAbsent reports whether an error means that nothing listens. A Unix socket may not exist yet.
func isAbsent(err error) bool {
	var op *net.OpError
	return errors.Is(err, syscall.ECONNREFUSED) || errors.As(err, &op) && op.Op == "dial" && op.Net == "unix" && errors.Is(err, syscall.ENOENT)
}

// dialOnce connects once. It resolves localhost and names below it to this machine, by both kinds
// of addresses (RFC 6761, 6.3), which not every resolver does.
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

// RoundTrip sends a request to the local server, with its target byte for byte.
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

// again sends the request once more, by HTTP/2, if the server speaks only that and has not begun to
// handle it.
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

// isGRPC reports whether a request is a gRPC call, which needs HTTP/2.
func isGRPC(r *http.Request) bool {
	kind, ok := strings.CutPrefix(r.Header.Get("Content-Type"), "application/grpc")
	return ok && (kind == "" || kind[0] == '+' || kind[0] == ';')
}

// isSafe reports whether a method can be repeated without harm.
func isSafe(method string) bool {
	return method == http.MethodGet || method == http.MethodHead || method == http.MethodOptions
}

// find determines whether a server that closed the connection without an answer speaks HTTP/2
// without TLS. A server that speaks only HTTP/2 sends a frame at once, which may have been lost
// with the connection. Others wait for the preface (RFC 9113, 3.4). They may also speak HTTP/1.1
// and may have begun to handle the request.
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

// authorityOf returns the host and port of a URL.
func authorityOf(u *url.URL) string { return net.JoinHostPort(hostPort(u.Scheme, u.Host)) }

func (o *origin) askPlain(r *http.Request) (*http.Response, error) {
	authority := ""
	if strings.HasPrefix(r.URL.Opaque, "//") {
		// net/url puts a scheme in front of what looks like a host.
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
		// In HTTP/2 net/http removes the scheme and host again.
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
		o.isFramed.Store(o.always) // another server may have listened before
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
	// without is the prefix of the next target that is left out when writing. It is set before the
	// request reaches the writing goroutine.
	without string
	// first checks the first bytes from the server.
	first func([]byte) error
	read  bool

	mu      sync.Mutex // guards the fields below
	content io.Closer  // the content of the request that awaits an answer
	failed  error      // why nothing more can be read
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

// carry sets the content of the request that awaits an answer. The content is closed once no answer
// can come, since net/http waits for its Read, and a visitor who waits for an answer sends nothing.
// It returns the error of the connection if it has failed.
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

// CloseWrite closes the write side of an upgraded connection.
func (c *originConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return http.ErrNotSupported
}
