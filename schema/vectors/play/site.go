// Package play plays the cases of package vectors against a gateway. It uses the given network: the
// machine's, or one in memory with fake time.
package play

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"reversehttp/schema/vectors"
)

// A Site is a gateway, and how to reach it.
type Site struct {
	// Origin is the origin of the control API, without a final slash.
	Origin string
	// PublicURL returns the public URL of a label, with a final slash. Each label must have a host of its own.
	PublicURL func(label string) string
	// Dial connects to an address such as "demo.localhost:8080", without TLS.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// TLS is the configuration for https and wss. Nil means the default.
	TLS *tls.Config
	// Visitor is the IP address at which the gateway sees visitors.
	Visitor string
	// Label is claimed for exchanges and faults, with the token Token.
	Label, Token string
	// Key is the key for claiming. Empty means that the gateway requires none.
	Key string
	// Settle returns once the gateway has done everything it can without a further message; Sleep lets time
	// pass.
	Settle func()
	Sleep  func(time.Duration)
	// Drain makes the gateway stop.
	Drain func()
}

// A Reply is an answer, or the error that occurred instead. A cut answer has the content received so far, and
// an error.
type Reply struct {
	Status  int
	Header  http.Header
	Content []byte
	Err     error
}

func newReply(resp *http.Response, err error) *Reply {
	if err != nil {
		return &Reply{Err: err}
	}
	defer func() { _ = resp.Body.Close() }()
	content, err := io.ReadAll(resp.Body)
	return &Reply{resp.StatusCode, resp.Header, content, err}
}

// client returns a client that opens a connection for each request and follows no redirects.
func (s *Site) client() *http.Client {
	return &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true, DisableCompression: true, DialContext: s.Dial, TLSClientConfig: s.TLS},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// host returns the authority of the public URL of a label.
func (s *Site) host(label string) string {
	u, err := url.Parse(s.PublicURL(label))
	if err != nil {
		return ""
	}
	return u.Host
}

// dial connects a visitor of a label.
func (s *Site) dial(ctx context.Context, label string) (net.Conn, error) {
	u, err := url.Parse(s.PublicURL(label))
	if err != nil {
		return nil, err
	}
	address := u.Host
	if u.Port() == "" {
		address = net.JoinHostPort(u.Hostname(), map[string]string{"http": "80", "https": "443"}[u.Scheme])
	}
	conn, err := s.Dial(ctx, "tcp", address)
	if err != nil || u.Scheme != "https" {
		return conn, err
	}
	config := &tls.Config{}
	if s.TLS != nil {
		config = s.TLS.Clone()
	}
	config.ServerName, config.NextProtos = u.Hostname(), nil
	return tls.Client(conn, config), nil
}

// send sends a request of a program and returns the answer.
func (s *Site) send(ctx context.Context, r vectors.Send) *Reply {
	req, err := r.Request(s.Origin, nil)
	if err != nil {
		return &Reply{Err: err}
	}
	return newReply(s.client().Do(req.WithContext(ctx)))
}

// frames returns messages in the framed form.
func frames(messages ...[]byte) []byte {
	var all bytes.Buffer
	for _, m := range messages {
		all.Write(vectors.Frame(m))
	}
	return all.Bytes()
}
