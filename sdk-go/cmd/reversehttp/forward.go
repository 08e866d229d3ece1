package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	reversehttp "reversehttp/sdk-go"
)

// Content of known length is flushed to the visitor after this time at the latest; other content at
// once.
const flushInterval = 50 * time.Millisecond

// copyBuffers is the buffer pool for [httputil.ReverseProxy].
type copyBuffers struct{}

var freeCopyBuffers = sync.Pool{New: func() any { return new([32 << 10]byte) }}

func (copyBuffers) Get() []byte  { return freeCopyBuffers.Get().(*[32 << 10]byte)[:] }
func (copyBuffers) Put(b []byte) { freeCopyBuffers.Put((*[32 << 10]byte)(b)) }

// forward puts a local server on a public URL.
type forward struct {
	Target     target `arg:"" help:"Local server: a URL such as http://localhost:3000, HOST:PORT, a port, or unix:/path.sock."`
	HostHeader string `default:"preserve" placeholder:"HOST" help:"Host that the local server sees: preserve (the visitor's, the default), rewrite (the local server's own), or one that you name."`
	H2C        bool   `name:"h2c" help:"Speak HTTP/2 without TLS to the local server, as gRPC servers need it. Without the flag, a server that speaks nothing else is detected."`
	// Which certificates the server may show if its URL is https.
	UpstreamCA       authority `name:"upstream-ca" placeholder:"FILE" help:"PEM file with the local server's certificate or its CA, trusted in addition to those of the system."`
	UpstreamInsecure bool      `aliases:"insecure" help:"Trust any certificate of the local server: anybody in between can read and change everything."`

	origin *origin
}

func (f *forward) open(v view, log *slog.Logger) (service, error) {
	if u, err := url.Parse("http://" + f.HostHeader); f.HostHeader != "" && (err != nil || u.Host != f.HostHeader) {
		return service{}, fmt.Errorf("--host-header=%s: give preserve, rewrite, or a host such as app.example:3000", printable(f.HostHeader))
	}
	if f.H2C && f.Target.url.Scheme != "http" {
		return service{}, errors.New("--h2c is HTTP/2 without TLS: give an http URL, or leave it out")
	}
	switch {
	case (f.UpstreamInsecure || f.UpstreamCA.roots != nil) && f.Target.url.Scheme != "https":
		return service{}, errors.New("--upstream-ca and --upstream-insecure are for certificates: give an https URL, or leave them out")
	case f.UpstreamInsecure && f.UpstreamCA.roots != nil:
		return service{}, errors.New("--upstream-insecure trusts any certificate, and --upstream-ca some: give one of them")
	case f.UpstreamInsecure:
		log.Error("the certificate of the local server is not checked: anyone on the path can read and change everything; --upstream-ca FILE has it checked", "server", f.Target.at())
	}
	f.origin = newOrigin(f.Target, &tls.Config{InsecureSkipVerify: f.UpstreamInsecure, RootCAs: f.UpstreamCA.roots}, f.H2C, func() {
		v.waits(fmt.Sprintf("nothing listens at %s yet: requests wait for it, each for %s at most", f.Target.at(), absentMost))
	})
	relay := &httputil.ReverseProxy{
		Rewrite:        f.rewrite,
		ModifyResponse: sendable,
		ErrorHandler:   f.failed,
		Transport:      f.origin,
		FlushInterval:  flushInterval,
		BufferPool:     copyBuffers{},
		ErrorLog:       slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	return service{f.relay(relay), f.Target.String(), f.origin.close, 0}, nil
}

// relay wraps a proxy so that its answers reach the visitor as the local server sent them.
func (f *forward) relay(proxy http.Handler) http.Handler {
	below := f.Target.below()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a := f.addresses(r)
		_, _, to, _ := splitReference(r.Header.Get("Destination")) // WebDAV
		if below != "" && (climbs(r.RequestURI) || climbs(without(to, a.prefix))) {
			blame(w, "the path leads out of "+below+", which alone is forwarded")
			problem(w, http.StatusBadRequest, "bad_request", "The path leads out of what is public here.")
			return
		}
		proxy.ServeHTTP(&relayed{ResponseWriter: w, addresses: a}, r)
	})
}

// likeSlashes replaces what some servers read as dots and slashes.
var likeSlashes = strings.NewReplacer("%2e", ".", "%2E", ".", "%2f", "/", "%2F", "/", "%5c", "/", "%5C", "/", `\`, "/")

// climbs reports whether any server might read a target as leading out of the path that it is put below.
func climbs(target string) bool {
	path, _, _ := strings.Cut(target, "?")
	if _, rest, absolute := strings.Cut(path, "://"); absolute && path[0] != '/' {
		_, path, _ = strings.Cut(rest, "/")
	}
	depth := 0
	for part := range strings.SplitSeq(likeSlashes.Replace(path), "/") {
		switch name, _, _ := strings.Cut(part, ";"); name { // some servers drop the rest
		case "", ".":
		case "..":
			if depth--; depth < 0 {
				return true
			}
		default:
			depth++
		}
	}
	return false
}

// relayed is the response to a visitor, without anything added.
type relayed struct {
	http.ResponseWriter
	addresses *addresses
	bits      bool // the local server asks for each write to be sent at once
	refused   bool // the status may mean that the server refuses the host
}

// WriteHeader maps URLs in fields to the visitor's, also in informational responses, and prevents
// net/http from guessing a Content-Type.
func (w *relayed) WriteHeader(status int) {
	h := w.Header()
	w.addresses.apply(h, outwards)
	if status >= 200 && h["Content-Type"] == nil {
		h["Content-Type"] = nil
	}
	// RFC 10036, and the field of nginx.
	w.bits = strings.HasPrefix(h.Get("Incremental"), "?1") || h.Get("X-Accel-Buffering") == "no"
	w.refused = w.addresses.host == w.addresses.asked && (status == http.StatusForbidden || status == http.StatusBadRequest || status == http.StatusMisdirectedRequest)
	w.ResponseWriter.WriteHeader(status)
}

// hostRefusals begin the answers of development servers to an unknown Host.
var hostRefusals = [][]byte{
	[]byte("Blocked request. This host"), // Vite
	[]byte("Invalid Host header"),        // webpack-dev-server, and tools built on it
	[]byte("Invalid HTTP_HOST header"),   // Django
	[]byte("Blocked host"),               // Rails
	[]byte("Invalid host header"),        // Starlette
}

// refusesHost reports whether content is such an answer.
func refusesHost(content []byte) bool {
	return slices.ContainsFunc(hostRefusals, func(words []byte) bool { return bytes.Contains(content, words) })
}

// Write writes content, and flushes it if the server asked for that.
func (w *relayed) Write(p []byte) (int, error) {
	if w.refused && refusesHost(p) {
		blame(w, "the local server refuses the public host: --host-header rewrite shows it its own, or allow "+w.addresses.host+" in its settings")
		w.refused = false
	}
	n, err := w.ResponseWriter.Write(p)
	if err == nil && w.bits {
		err = http.NewResponseController(w.ResponseWriter).Flush()
	}
	return n, err
}

// Unwrap is for http.ResponseController.
func (w *relayed) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// rewrite addresses a request to the local server and otherwise leaves it as the gateway sent it.
func (f *forward) rewrite(r *httputil.ProxyRequest) {
	in, out := r.In, r.Out
	out.URL = f.at(in.RequestURI)
	for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"} {
		if v, ok := in.Header[name]; ok {
			out.Header[name] = v // set by the gateway, which does not trust those of visitors
		}
	}
	reversehttp.RequestInfo(in.Context()).Trace.SetHeader(out.Header)
	out.Trailer = in.Trailer // the same map, which is filled when the content ends
	if out.Body != nil && out.Body != http.NoBody {
		// out.Body is the same, but its Close does not end a waiting Read; see [originConn.carry].
		out.Body = &sentContent{ReadCloser: in.Body}
	}
	a := f.addresses(in)
	out.Host = a.host
	a.apply(out.Header, inwards)
	if a.prefix != "" {
		out.Header["X-Forwarded-Prefix"] = []string{a.prefix}
	}
}

// at returns the URL for a visitor's request target, byte for byte, below the path of the local
// server.
func (f *forward) at(target string) *url.URL {
	u := &url.URL{Scheme: f.Target.url.Scheme, Host: f.Target.url.Host}
	if target == "*" {
		u.Opaque = target
		return u
	}
	if _, rest, absolute := strings.Cut(target, "://"); absolute && target[0] != '/' {
		at := strings.IndexAny(rest, "/?")
		switch {
		case at < 0:
			target = "/"
		case rest[at] == '?':
			target = "/" + rest[at:] // RFC 9112, 3.2.1
		default:
			target = rest[at:]
		}
	}
	path, query, asked := strings.Cut(target, "?")
	u.Opaque, u.RawQuery, u.ForceQuery = f.Target.below()+path, query, asked
	return u
}

// Bounds of answers that a gateway accepts; see schema/README.md, section 5.
const (
	fieldsMost     = 256
	fieldBytesMost = 64 << 10
	fieldExtra     = 4
)

// notSendable says why an answer of the local server cannot be sent.
type notSendable struct{ fault string }

func (e *notSendable) Error() string { return e.fault }

// sendable returns an error for an answer that the gateway would not accept.
func sendable(resp *http.Response) error {
	if status := resp.StatusCode; status > 599 || status < 200 && status != http.StatusSwitchingProtocols {
		return &notSendable{fmt.Sprintf("with the status %03d, which HTTP does not have (RFC 9110, 15)", status)}
	}
	count, size := 0, 0
	for name, values := range resp.Header {
		for _, v := range values {
			count++
			size += len(name) + len(v) + fieldExtra
		}
	}
	if count > fieldsMost || size > fieldBytesMost {
		return &notSendable{fmt.Sprintf("with %d fields of %d bytes; %d and %d are the most", count, size, fieldsMost, fieldBytesMost)}
	}
	return nil
}

// sentContent is the content of a request. It notes whether the content broke off, which is not the
// local server's fault.
type sentContent struct {
	io.ReadCloser
	broke atomic.Pointer[error]
}

func (c *sentContent) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	if err != nil && err != io.EOF && err != http.ErrBodyReadAfterClose {
		c.broke.CompareAndSwap(nil, &err)
	}
	return n, err
}

// failed answers the visitor with an error, and shows the user of the command why.
func (f *forward) failed(w http.ResponseWriter, r *http.Request, err error) {
	if gone := context.Cause(r.Context()); gone != nil {
		blame(w, cause(gone))
		return // nobody would read the answer
	}
	if sent, ok := r.Body.(*sentContent); ok && sent.broke.Load() != nil {
		blame(w, "the visitor's content broke off: "+cause(*sent.broke.Load()))
		problem(w, http.StatusBadRequest, "bad_request", "The content broke off.")
		return
	}
	fault, detail := "the local server: "+cause(err), "The local server behind this URL did not give a proper answer."
	var op *net.OpError
	var refused *notSendable
	switch {
	case errors.As(err, &refused):
		fault, detail = "the local server answered "+refused.fault, "The local server behind this URL answered "+refused.fault+"."
	case errors.Is(err, errFramed):
		fault = "the local server speaks HTTP/2 only, and is asked so from now on; --h2c does so at once"
	case errors.Is(err, errUnframed):
		fault = "the local server does not speak HTTP/2 without TLS: leave --h2c out"
	case errors.Is(err, errNoUpgrade):
		fault = "the local server speaks HTTP/2 only, by which no WebSocket is relayed"
	case isAbsent(err):
		fault, detail = "nothing listens at "+f.Target.at(), "The local server behind this URL does not run."
	case errors.As(err, &op) && op.Op == "dial":
		fault, detail = f.Target.at()+" cannot be reached: "+cause(err), "The local server behind this URL cannot be reached."
	case errors.As(err, new(tls.RecordHeaderError)):
		fault = "the local server speaks no TLS: forward to http://" + f.Target.url.Host + " instead"
	case errors.As(err, new(*tls.CertificateVerificationError)):
		fault = "the certificate of the local server is not trusted (" + cause(err) + "); --upstream-ca FILE has what it is signed with, and --upstream-insecure trusts any"
	case isClosed(err):
		fault = "the local server closed the connection without an answer"
	}
	blame(w, fault)
	problem(w, http.StatusBadGateway, "handler_failed", detail)
}
