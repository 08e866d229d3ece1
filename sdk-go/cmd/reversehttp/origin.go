package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"time"
)

const (
	// How long a local server may take to accept a connection.
	dialTimeout = 10 * time.Second
)

// origin is the local server: it makes connections to the local server and asks it.
type origin struct {
	target    *url.URL
	transport *http.Transport
}

func newOrigin(target *url.URL, insecure bool) *origin {
	o := &origin{target: target}
	config := &tls.Config{InsecureSkipVerify: insecure}
	o.transport = &http.Transport{
		// No Proxy: the server is local. No compression: content is exact.
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := o.dial(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			return &originConn{Conn: c}, nil
		},
		DialTLSContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			return o.dialTLS(ctx, network, addr, config)
		},
		DisableCompression:  true,
		MaxIdleConnsPerHost: 128,
		IdleConnTimeout:     time.Minute,
	}
	return o
}

// dial knows that every name below localhost is this machine (RFC 6761, 6.3), which not every resolver does.
func (o *origin) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	if host, port, err := net.SplitHostPort(addr); err == nil && strings.HasSuffix(strings.ToLower(host), ".localhost") {
		addr = net.JoinHostPort("localhost", port)
	}
	return (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, network, addr)
}

func (o *origin) dialTLS(ctx context.Context, network, addr string, config *tls.Config) (net.Conn, error) {
	c, err := o.dial(ctx, network, addr)
	if err != nil {
		return nil, err
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
	return &originConn{Conn: secure}, nil
}

// RoundTrip asks the local server for the target of a request, byte for byte.
func (o *origin) RoundTrip(r *http.Request) (*http.Response, error) {
	if strings.HasPrefix(r.URL.Opaque, "//") {
		// net/url puts a scheme in front of what it takes for a host.
		authority := r.URL.Scheme + "://" + r.URL.Host
		u := *r.URL
		u.Opaque = "//" + u.Host + u.Opaque
		r = r.WithContext(httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{GotConn: func(got httptrace.GotConnInfo) {
			if c, ok := got.Conn.(*originConn); ok {
				c.without = authority
			}
		}}))
		r.URL = &u
	}
	return o.transport.RoundTrip(r)
}

func (o *origin) close() { o.transport.CloseIdleConnections() }

// originConn is a connection to the local server.
type originConn struct {
	net.Conn
	// without stands before the next target that is written, and is left out. It is set before the request is handed to
	// the goroutine that writes.
	without string
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
