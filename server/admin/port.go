package admin

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"time"

	"golang.org/x/net/netutil"

	"reversehttp/schema"
	"reversehttp/server/admission"
	"reversehttp/server/audit"
	"reversehttp/server/budget"
	"reversehttp/server/problem"
	"reversehttp/server/publicurl"
	"reversehttp/server/trust"
	"reversehttp/server/wire"
)

// Bounds of the port. They are separate, so that strangers who fill the public port cannot keep the
// operator out.
const (
	mostConnections = 64
	memory          = 16 << 20 // of connections and heads, in bytes
	headTime        = 10 * time.Second
	headBytes       = 64 << 10
	idle            = 2 * time.Minute
)

// Options configure a [Port].
type Options struct {
	// Key must be shown by every call as a Bearer token. Empty means that no key is needed, because
	// only the operator can reach the port.
	Key string
	// Name is a host name that requests may use, in addition to addresses and the local names of
	// this machine. Empty means none.
	Name string
}

// Port serves an [API].
type Port struct {
	api     *API
	key     [sha256.Size]byte
	keyed   bool
	name    string
	guesses *admission.Guesses
	routes  http.Handler
	port    *wire.Port
	server  *http.Server
	served  chan struct{} // closed once serving has ended
}

// NewPort returns a port that serves a.
func NewPort(a *API, o Options) *Port {
	p := &Port{api: a, key: sha256.Sum256([]byte(o.Key)), keyed: o.Key != "", name: publicurl.Hostname(o.Name), guesses: admission.NewGuesses(), routes: a.routes(), served: make(chan struct{})}
	room := budget.New(budget.Amounts{budget.Connections: mostConnections, budget.Memory: memory})
	refuse := func(w http.ResponseWriter, code schema.Code, detail string) {
		problem.New(code, detail).Write(w, a.Guide.Unknown())
	}
	p.port = wire.New(p, refuse, &wire.Options{
		Base: a.Guide.In(context.Background()), HeadTime: headTime, HeadBytes: headBytes, Idle: idle, Log: a.Log, Panicked: a.Panicked,
		Place: func(peer net.Addr) wire.Place {
			hold := room.Open(trust.Peers{}.AddressOfPeer(peer))
			if !hold.Enter(budget.Connections) {
				hold.Close()
				return nil
			}
			return hold
		},
	})
	p.server = p.port.Server()
	p.server.ErrorLog = slog.NewLogLogger(a.Log.Handler(), slog.LevelDebug)
	return p
}

// Serve serves connections of l until Close, on a goroutine of its own.
func (p *Port) Serve(l net.Listener) {
	if _, tcp := l.(*net.TCPListener); tcp {
		l = p.port.Limit(l)
	} else { // a Unix socket, which only this user can open
		l = netutil.LimitListener(l, mostConnections)
	}
	go func() {
		defer close(p.served)
		if err := p.server.Serve(wire.Listen(l)); err != http.ErrServerClosed {
			p.api.Log.Error("stopped serving the admin address", "error", err)
		}
	}()
}

// Close stops serving. Calls in progress may continue until ctx ends.
func (p *Port) Close(ctx context.Context) {
	_ = p.server.Shutdown(ctx)
	_ = p.server.Close()
	<-p.served
	p.port.Close()
}

// ServeHTTP serves requests of the operator, and refuses others.
func (p *Port) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	wire.BoundWrite(w, 0)
	wire.Taken(r)
	refused := p.refusal(w, r)
	if refused != nil {
		refused.Unread = true
		refused.Write(w, r)
		return
	}
	p.api.serve(p.routes, w, r)
}

// refusal returns why a request is refused, or nil.
func (p *Port) refusal(w http.ResponseWriter, r *http.Request) *problem.Problem {
	if detail := wire.Malformed(r); detail != "" {
		return problem.New(schema.CodeBadRequest, detail)
	}
	if !p.knows(r.Host) {
		return problem.New(schema.CodeWrongHost, "Use an IP address, localhost, or the name in --admin-listen as the host.")
	}
	if foreign(r) {
		return problem.New(schema.CodeOriginRefused, "The admin address accepts no requests from web pages.")
	}
	return p.judge(r)
}

// knows reports whether a Host may name the port. The names must be listed because a site can make
// its own name resolve to any address (DNS rebinding); addresses themselves are safe.
func (p *Port) knows(host string) bool {
	name := publicurl.Hostname(host)
	if p.name != "" && name == p.name || publicurl.IsLocalName(name) {
		return true
	}
	_, err := netip.ParseAddr(name)
	return err == nil
}

// foreign reports whether a page of another origin caused r. The port has no pages of its own.
func foreign(r *http.Request) bool {
	for _, origin := range r.Header["Origin"] {
		if origin != "" {
			return true
		}
	}
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "none", "same-origin":
		return false
	}
	return true
}

// judge checks the key, if one is needed.
func (p *Port) judge(r *http.Request) *problem.Problem {
	if !p.keyed {
		return nil
	}
	key, shown := admission.Bearer(r)
	if !shown {
		return problem.New(schema.CodeKeyNeeded, "Show the key of --admin-key-file as Authorization: Bearer <key>.")
	}
	got := sha256.Sum256([]byte(key))
	right := subtle.ConstantTimeCompare(got[:], p.key[:]) == 1
	if wait := p.guesses.Judge(trust.Peers{}.Address(r), right); wait > 0 {
		return &problem.Problem{Code: schema.CodeRateLimited, After: wait, Detail: "Your address showed too many wrong keys. Try again after a minute."}
	}
	if !right {
		p.api.Audit.Note(audit.Entry{Event: audit.AdminRefused, Address: addressOf(r), Method: cut(r.Method), Path: cut(r.URL.Path), Status: http.StatusForbidden})
		return problem.New(schema.CodeKeyWrong, "This is not the key of --admin-key-file.")
	}
	return nil
}
