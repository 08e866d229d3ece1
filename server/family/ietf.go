package family

import (
	"crypto/tls"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/go-chi/chi/v5"

	"reversehttp/schema"
	"reversehttp/server/door"
	"reversehttp/server/problem"
	"reversehttp/server/wire"
)

// The protocols of a turned connection, as in ALPN.
const (
	http1     = "http/1.1"
	http2Name = "h2"
)

// ietf is the door for the drafts of the IETF: ptth (draft-kazuho-ptth-ptth-01) and reverse
// (draft-kazuho-httpbis-reverse-tunnel-00), by Upgrade and by extended CONNECT, and connections
// that begin turned, by TLS (draft-thomson-ptth-potato-00 to -02).
type ietf struct {
	g    *door.Host
	seen *habits
}

const (
	ietfName  = "ietfPtth"
	wellKnown = "/.well-known/ptth/"
)

func newIETF(g *door.Host, seen *habits) door.Door {
	d := &ietf{g, seen}
	return door.Door{
		Name: ietfName, URL: strings.TrimSuffix(g.Public.Control, "/") + wellKnown + "{origin}/",
		Routes: func(r chi.Router) { r.HandleFunc(wellKnown+"*", d.accept) },
		LabelOf: func(r *http.Request) string {
			if !strings.HasPrefix(r.URL.Path, wellKnown) {
				return ""
			}
			labels, err := d.labels(r)
			if err != nil {
				return "" // the door says why
			}
			return labels[0]
		},
		ALPN: d.reversals(),
	}
}

// reversedLabels are what TLS calls a connection that begins turned, in each version of
// draft-thomson-ptth-potato: -00, -01 and -02, whose labels are the same letters turned.
var reversedLabels = map[string]string{
	"rh2": http2Name, "ph2": http2Name, "\u0547\u0265": http2Name,
	"rh1": http1, "ph1": http1, "\u0196\u0265": http1,
}

// reversals returns, for each ALPN label, a function that serves its connections.
func (d *ietf) reversals() map[string]func(*tls.Conn) {
	all := make(map[string]func(*tls.Conn), len(reversedLabels))
	for label, inner := range reversedLabels {
		all[label] = func(c *tls.Conn) { d.reversed(c, inner) }
	}
	return all
}

// accept turns the connection for the origins in its URL.
func (d *ietf) accept(w http.ResponseWriter, r *http.Request) {
	hello, err := read(r)
	if err != nil {
		d.refuse(w, r, err)
		return
	}
	labels, err := d.labels(r)
	if err != nil {
		door.Refuse(w, r, err)
		return
	}
	feeds, err := d.enter(r, labels)
	if err == nil {
		var conn net.Conn
		if conn, err = hello.accept(w, r); err == nil {
			var t *turned
			if t, err = turn(d.g, conn, hello.inner, d.seen); err == nil {
				t.serve(feeds...)
				return
			}
		}
		leaveAll(feeds)
		return
	}
	door.Refuse(w, r, err)
}

// refuse answers a request that asks for no upgrade, or for one that the gateway does not support.
func (d *ietf) refuse(w http.ResponseWriter, r *http.Request, err error) {
	w.Header().Set("Upgrade", "ptth, reverse")
	w.Header().Set("Connection", "Upgrade")
	door.Refuse(w, r, err)
}

// labels returns the labels of the origins in a URL, which are percent-encoded and separated by
// commas.
func (d *ietf) labels(r *http.Request) (labels []string, err error) {
	path, _ := strings.CutPrefix(r.URL.EscapedPath(), wellKnown)
	for one := range strings.SplitSeq(strings.TrimSuffix(path, "/"), ",") {
		origin, err := url.PathUnescape(one)
		label := d.g.Public.LabelOf(origin)
		if err != nil || label == "" {
			like := strings.TrimSuffix(d.g.Public.Base("label"), "/")
			return nil, problem.New(schema.CodeWrongOrigin, "The path names public origins of this gateway, such as "+like+", percent-encoded ("+url.QueryEscape(like)+") and separated by commas. It has another, or none.")
		}
		if !slices.Contains(labels, label) {
			labels = append(labels, label)
		}
	}
	if len(labels) > mostOrigins {
		return nil, problem.New(schema.CodeBadRequest, "A connection serves 16 origins at most.")
	}
	return labels, nil
}

// mostOrigins is the most origins that one connection may serve.
const mostOrigins = 16

// enter opens a session and a feed for each label, or for none if one fails.
func (d *ietf) enter(r *http.Request, labels []string) (feeds []*feed, err error) {
	for _, label := range labels {
		s, err := d.g.Enter(r, ietfName, label)
		if err == nil {
			var f *feed
			if f, err = newFeed(s); err == nil {
				feeds = append(feeds, f)
				continue
			}
		}
		leaveAll(feeds)
		return nil, err
	}
	return feeds, nil
}

func leaveAll(feeds []*feed) {
	for _, f := range feeds {
		f.leave()
	}
}

// hello is a program's request to turn a connection.
type hello struct {
	// protocol is ptth or reverse, as the program spells it.
	protocol string
	// inner is the protocol of the turned connection.
	inner string
	// extended says that the request is an extended CONNECT (RFC 8441).
	extended bool
}

// read parses the hello of r.
func read(r *http.Request) (*hello, error) {
	h := &hello{protocol: wire.Extended(r, "ptth", "reverse")}
	h.extended = h.protocol != ""
	if r.Method == http.MethodGet {
		for _, p := range protocols(r) {
			if strings.EqualFold(p, "ptth") || strings.EqualFold(p, "reverse") {
				h.protocol = p
				break
			}
		}
	}
	if h.protocol == "" {
		return nil, problem.New(schema.CodeUpgradeNeeded, "GET this with the fields Connection: Upgrade, Upgrade: ptth and ALPN: h2.")
	}
	// RFC 7639: the names are percent-encoded.
	var offered []string
	for _, one := range list(r.Header["Alpn"]) {
		if name, err := url.PathUnescape(one); err == nil {
			offered = append(offered, name)
		}
	}
	for _, inner := range []string{http2Name, http1} {
		if slices.Contains(offered, inner) {
			h.inner = inner
			return h, nil
		}
	}
	return nil, problem.New(schema.CodeBadRequest, "The field ALPN names the protocols that the program serves; the gateway speaks h2 and http%2F1.1 (RFC 7639).")
}

// accept answers that the connection turns, and returns it.
func (h *hello) accept(w http.ResponseWriter, r *http.Request) (net.Conn, error) {
	name := "ALPN"
	if strings.EqualFold(h.protocol, "reverse") {
		name = "Selected-ALPN"
	}
	chosen := strings.ReplaceAll(h.inner, "/", "%2F")
	if h.extended {
		w.Header().Set(name, chosen)
		return wire.Accept(w, r)
	}
	return switchTo(w, h.protocol, name+": "+chosen)
}
