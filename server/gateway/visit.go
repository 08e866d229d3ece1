package gateway

import (
	"errors"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"reversehttp/schema"
	"reversehttp/server/claim"
	"reversehttp/server/field"
	"reversehttp/server/intake"
	"reversehttp/server/problem"
	"reversehttp/server/wire"
)

// visit is the door for visitors: it hands a request to the claim's sessions
// and relays the answer.
// What the request holds, and the exchange, hold holds.
func (g *Gateway) visit(w http.ResponseWriter, r *http.Request, label string, hold *claim.Hold) {
	p := g.refusal(r, label)
	if p == nil {
		p = badUpgrade(w.Header(), r)
	}
	if p != nil {
		p.Handed = claim.HandedNo
		intake.Refuse(w, r, p)
		return
	}
	c := g.registry.Lookup(label)
	if c == nil {
		intake.Refuse(w, r, &problem.Problem{Code: schema.CodeNoClaim, Handed: claim.HandedNo})
		return
	}
	x, err := c.Begin(hold)
	if err != nil {
		intake.Refuse(w, r, problem.Of(err))
		return
	}
	rc := http.NewResponseController(w)
	hold.Evictable(func(why error) {
		if why == claim.ErrDraining {
			if x.Evict(why) { // else it is answered, or what it is told comes another way
				_ = rc.SetReadDeadline(intake.Past)
			}
			return
		}
		// In this order: what the visitor is told then sets the deadline for writing anew.
		_ = rc.SetWriteDeadline(intake.Past)
		_ = rc.SetReadDeadline(intake.Past)
		x.Evict(why)
	})
	req, ctx, upgrade := g.requestOf(r, label), r.Context(), upgradeOf(r)
	var t *tunnel // of an upgrade
	var u *upload // of content that streams
	switch {
	case r.ContentLength > int64(g.options.ContentBytes):
		err = &problem.Problem{Code: schema.CodeContentTooLarge}
	case upgrade != "" && !c.TakesUpgrade():
		err = &problem.Problem{Code: schema.CodeQueueFull, Detail: "As many connections to this label are upgraded as may be."}
	case upgrade != "":
		t = newTunnel()
		req.Upgrade, req.Content = upgrade, claim.Streamed(t)
	case g.streams(r):
		u = newUpload(w, r, x, g, hold)
		defer u.end()
		var free func()
		ctx, free = u.context()
		defer free()
		req.Content = claim.Streamed(u)
	default:
		var content []byte
		content, err = g.paceOf(x).Read(w, r, g.options.InlineBytes, hold)
		req.Content = claim.Whole(content)
	}
	if err != nil {
		x.Fail(err)
		p := problem.Of(err)
		p.Handed = claim.HandedNo
		intake.Refuse(w, r, p)
		return
	}
	if r.ProtoAtLeast(1, 1) {
		req.Inform = func(a *claim.Answer) {
			if u == nil || !u.uninvited() {
				g.relayInterim(w, a)
			}
		}
	}
	a, err := x.Do(ctx, req)
	if t != nil {
		if err == nil && a.Status == http.StatusSwitchingProtocols {
			g.relayUpgrade(w, r, x, a, t, hold)
			return
		}
		t.end()
	}
	if u != nil && (err != nil || !a.More) && !u.stop() {
		defer wire.Leaving(w, r)()
	}
	if errors.Is(err, claim.ErrVisitorGone) {
		panic(http.ErrAbortHandler) // nobody is there to be answered
	}
	if err != nil {
		problem.Of(err).Write(w, r)
		return
	}
	if a.Status == http.StatusSwitchingProtocols { // it came before its session had the request
		x.Fail(claim.ErrHandlerFailed)
		problem.Of(&claim.Failure{Err: claim.ErrHandlerFailed, Handed: claim.HandedYes}).Write(w, r)
		return
	}
	if u != nil && a.More {
		u.goLive()
	}
	g.relay(w, r, x, a, hold)
}

// refusal says why a request is not let in, before its claim is looked at.
func (g *Gateway) refusal(r *http.Request, label string) *problem.Problem {
	switch {
	case r.Method == http.MethodConnect && upgradeOf(r) == "":
		return &problem.Problem{Code: schema.CodeBadRequest, Detail: "A claim is no tunnel: CONNECT is not relayed."}
	case g.loops(r, label):
		return &problem.Problem{Code: schema.CodeLoop}
	case g.public.PathPrefix != "" && strings.EqualFold(r.Header.Get("Service-Worker"), "script"):
		return &problem.Problem{Code: schema.CodeServiceWorkerRefused}
	case !g.visitors.Allow(g.trust.Address(r)):
		return &problem.Problem{Code: schema.CodeRateLimited}
	}
	return nil
}

// requestOf makes a visitor's request one for the core.
func (g *Gateway) requestOf(r *http.Request, label string) *claim.Request {
	target := wire.Target(r)
	method := r.Method
	if method == http.MethodConnect { // of HTTP/2, for a WebSocket; it is GET in HTTP/1.1
		method = http.MethodGet
		if _, set := r.Header["Sec-Websocket-Key"]; !set {
			r.Header["Sec-Websocket-Key"] = []string{newKey()}
		}
	}
	return &claim.Request{
		Method:      method,
		Target:      target,
		URL:         g.urlOf(label, target),
		HTTPVersion: viaVersion(r),
		RemoteAddr:  g.trust.Visitor(r),
		Fields:      g.requestFields(r, label),
		Keyed:       len(r.Header["Idempotency-Key"]) > 0 || len(r.Header["Webhook-Id"]) > 0,
	}
}

// urlOf reconstructs the target URI (RFC 9110, 7.1).
func (g *Gateway) urlOf(label, target string) string {
	origin := g.public.Scheme + "://" + g.public.Authority(label)
	switch {
	case strings.HasPrefix(target, "/"):
		return origin + target
	case target == "*":
		return origin
	}
	if _, rest, ok := strings.Cut(target, "://"); ok { // absolute-form
		if i := strings.IndexAny(rest, "/?"); i >= 0 {
			return origin + rest[i:]
		}
	}
	return origin
}

// relayPiece is how much content a visitor has to take at a time, in bytes.
const relayPiece = 64 << 10

// relay writes an answer to the visitor.
func (g *Gateway) relay(w http.ResponseWriter, r *http.Request, x *claim.Exchange, a *claim.Answer, hold *claim.Hold) {
	h := w.Header()
	g.relayFields(h, a.Fields)
	announce(h, a)
	h["Via"] = append(h["Via"], "1.1 "+g.public.Pseudonym(x.Claim().Label()))
	if _, stated := h["Content-Length"]; !stated && statesLength(r.Method, a) {
		h["Content-Length"] = []string{strconv.Itoa(len(a.Content))}
	}
	if a.Status == http.StatusNotModified {
		keepFieldsOf304(h)
	}
	wire.BoundWrite(w, 0)
	if a.More {
		field.Hasten(h)
		w.WriteHeader(a.Status)
		g.relayMore(w, r, x, a, hold)
		return
	}
	addTrailers(h, a.Trailers)
	w.WriteHeader(a.Status)
	if r.Method == http.MethodHead {
		return
	}
	if err := writePieces(w, a.Content, hold); err == errEvicted {
		panic(http.ErrAbortHandler) // no clean end
	}
}

// relayInterim writes an interim response to the visitor.
func (g *Gateway) relayInterim(w http.ResponseWriter, a *claim.Answer) {
	h := w.Header()
	kept := h.Clone()
	clear(h)
	g.relayFields(h, a.Fields)
	// It is not sent. It has net/http copy the fields of HTTP/2, which it may still
	// read when this stream was reset and the next ones are set.
	h["Content-Length"] = nil
	wire.BoundWrite(w, 0)
	w.WriteHeader(a.Status)
	clear(h)
	maps.Copy(h, kept)
}

// errEvicted ends writing to a visitor whose place others need.
var errEvicted = errors.New("gateway: the visitor was too slow")

// writePieces writes content so that the visitor has to take a piece at a time. While they
// are waited for hold may be taken back.
func writePieces(w http.ResponseWriter, content []byte, hold *claim.Hold) error {
	for piece := range slices.Chunk(content, relayPiece) {
		wire.BoundWrite(w, len(piece))
		if hold.Evicted() == claim.ErrTooSlow { // it may have ended the deadline before that was set
			return errEvicted
		}
		hold.Wait()
		_, err := w.Write(piece)
		hold.Move(len(piece))
		switch {
		case err != nil && hold.Evicted() == claim.ErrTooSlow:
			return errEvicted
		case err != nil:
			return err
		}
	}
	return nil
}

// keepFieldsOf304 spells fields that net/http drops from 304 in a way that it
// does not know them by. They tell of what GET would give (RFC 9110, 15.4.5).
func keepFieldsOf304(h http.Header) {
	for _, name := range []string{"Content-Length", "Content-Type"} {
		if values := h[name]; len(values) > 0 {
			h[strings.ToLower(name)] = values
			delete(h, name)
		}
	}
}

// statesLength tells whether the gateway says how long the content is. It does
// not for 204 and 304 (RFC 9110, 8.6), nor for an empty answer to HEAD, where it
// cannot know what GET would give.
func statesLength(method string, a *claim.Answer) bool {
	if a.More || len(a.Trailers) > 0 || a.Status == http.StatusNoContent || a.Status == http.StatusNotModified {
		return false
	}
	return method != http.MethodHead || len(a.Content) > 0
}

// redirectToSlash sends a visitor of /at/label to /at/label/.
func (g *Gateway) redirectToSlash(w http.ResponseWriter, r *http.Request, label string) {
	if !claim.ValidLabel(label) {
		intake.Refuse(w, r, &problem.Problem{Code: schema.CodeNoClaim, Handed: claim.HandedNo})
		return
	}
	_, query, has := strings.Cut(wire.Target(r), "?")
	to := g.public.PathPrefix + label + "/"
	if has {
		to += "?" + query
	}
	w.Header().Set("Location", to)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusPermanentRedirect)
}

// paceOf returns the pace of a visitor's content: it may take the time of the answer.
func (g *Gateway) paceOf(x *claim.Exchange) intake.Pace {
	return intake.Pace{Grace: x.Timeout(), Rate: g.options.ContentRate, Pause: g.options.ContentPause}
}
