// Package visit is the visitor's side of a gateway: it passes their request to the sessions of a
// claim, and relays the answer.
package visit

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"reversehttp/schema"
	"reversehttp/server/admission"
	"reversehttp/server/budget"
	"reversehttp/server/claim"
	"reversehttp/server/intake"
	"reversehttp/server/problem"
	"reversehttp/server/publicurl"
	"reversehttp/server/quota"
	"reversehttp/server/strangers"
	"reversehttp/server/trace"
	"reversehttp/server/trust"
	"reversehttp/server/wire"
)

// Visits serves visitors. Its members are set before its first use and do not change.
type Visits struct {
	Registry *claim.Registry
	Public   *publicurl.Template
	Trust    trust.Peers
	// Withdrawn has the labels that the operator took down.
	Withdrawn *admission.Withdrawn
	// Strangers guards visitors of claims that nobody vouches for. Nil guards nobody.
	Strangers *strangers.Guard
	// Rate bounds the requests of an address.
	Rate *admission.Rate
	// ContentRate is the least rate of a visitor's content in bytes a second, after the claim's
	// time for an answer. ContentPause is the longest time without content.
	ContentRate  int
	ContentPause time.Duration
	// InlineBytes is the most content that is read before the program gets the request, unless a
	// session takes more ([claim.Exchange.Inline]). ContentBytes is the most content of a request.
	InlineBytes, ContentBytes int
	Gates                     Gates
	// Traces are those that begin for requests without a valid traceparent. Empty means none.
	Traces trace.Begin
	// EntryOf returns the node that accepted a request, or nil if that is this one. It is nil if there
	// are no other nodes.
	EntryOf func(*http.Request) claim.Entry
	// Moved has another node serve a request whose claim has moved to it, and reports whether it did.
	// before is what it has to know of the exchange. Nil means that claims do not move.
	Moved func(w http.ResponseWriter, r *http.Request, label string, hold *budget.Hold, before *claim.Note) bool
	// Quotas count what visitors use of claims. Nil counts nothing.
	Quotas *quota.Book

	base string // of a domain of the claim's own; see At
}

// At returns Visits for a domain of a claim's own, with the template of that domain.
func (v *Visits) At(public *publicurl.Template) *Visits {
	at := *v
	at.Public, at.base, at.Strangers = public, public.Base(""), v.Strangers.At(public)
	return &at
}

// Serve passes a visitor's request to the sessions of the claim of a label and relays the answer. A nil
// claim means that the label has none. The request and its exchange count in hold.
func (v *Visits) Serve(w http.ResponseWriter, r *http.Request, label string, c *claim.Claim, hold *budget.Hold) {
	p := v.refusal(r, label)
	if p == nil {
		p = badUpgrade(w.Header(), r)
	}
	if p != nil {
		p.Handed = claim.HandedNo
		v.tellWho(w, p.Code)
		intake.Refuse(w, r, p)
		return
	}
	if c == nil {
		intake.Refuse(w, r, &problem.Problem{Code: schema.CodeNoClaim, Handed: claim.HandedNo})
		return
	}
	if v.outlived(w, r, c) {
		return
	}
	if v.Strangers.Warn(w, r, label, c) {
		return
	}
	s := &visit{Visits: v, w: w, r: r, label: label, c: c, hold: hold, most: int64(v.ContentBytes)}
	s.fill()
	if !s.enter() {
		return
	}
	defer s.meter.End()
	passed, held := s.judge()
	if !passed {
		s.meter.Refund()
		return
	}
	if s.ended != nil {
		defer func() { s.ended(s.answered) }()
	}
	if !s.took() {
		return
	}
	x, err := c.Begin(hold, s.absence())
	wire.Taken(r) // from now on it counts as an exchange
	if err != nil && (s.moved(err) || s.absent(err, !held)) {
		return
	}
	if err != nil {
		intake.Refuse(w, r, problem.Of(err))
		return
	}
	s.x = x
	hold.EvictableBy(s)
	ctx := r.Context()
	var t *tunnel // of an upgrade
	switch {
	case r.ContentLength > s.most:
		err = &problem.Problem{Code: schema.CodeContentTooLarge}
	case s.req.Upgrade != "":
		t = newTunnel(s.meter, x)
		s.req.Content = claim.Streamed(t)
	case held:
	case v.streams(r, x):
		s.upload = newUpload(s)
		defer s.upload.end()
		var free func()
		ctx, free = s.upload.context()
		defer free()
		s.req.Content = claim.Streamed(s.upload)
	default:
		var content []byte
		content, err = v.pace(x.Timeout).Read(w, r, max(v.InlineBytes, int(r.ContentLength)), hold)
		s.req.Content = claim.Whole(content)
		if err == nil {
			err = s.meter.In(len(content))
		}
	}
	if err != nil {
		x.Fail(err)
		p := problem.Of(err)
		p.Handed = claim.HandedNo
		intake.Refuse(w, r, p)
		return
	}
	if r.ProtoAtLeast(1, 1) {
		s.req.Interims = s
	}
	a, err := x.Do(ctx, &s.req)
	if t != nil {
		if err == nil && a.Status == http.StatusSwitchingProtocols {
			s.relayUpgrade(a, t)
			return
		}
		t.end()
		if errors.Is(err, claim.ErrUpgrades) {
			p := problem.Of(err)
			p.Detail = "As many connections to this label are upgraded as may be."
			intake.Refuse(w, r, p)
			return
		}
	}
	if s.upload != nil && (err != nil || !a.More) && !s.upload.stop() {
		defer wire.Leaving(w, r)()
	}
	if errors.Is(err, claim.ErrVisitorGone) {
		panic(http.ErrAbortHandler) // nobody is there to be answered
	}
	if err != nil && (s.moved(err) || s.absent(err, false)) {
		return
	}
	if err != nil {
		v.tellWho(w, problem.Of(err).Code)
		problem.Of(err).Write(w, r)
		return
	}
	if a.Status == http.StatusSwitchingProtocols { // the answer came before its session had the request
		x.Fail(claim.ErrHandlerFailed)
		problem.Of(&claim.Failure{Err: claim.ErrHandlerFailed, Handed: claim.HandedYes}).Write(w, r)
		return
	}
	if s.upload != nil && a.More {
		s.upload.goLive()
	}
	if !a.More {
		s.answered = a.Status
	}
	s.relay(a)
	s.answered = a.Status
}

// visit is a visitor's request while it is served. It has room for the fields of most requests and
// answers, so that all of it is one allocation.
type visit struct {
	*Visits
	w      http.ResponseWriter
	r      *http.Request
	label  string
	c      *claim.Claim
	hold   *budget.Hold
	x      *claim.Exchange // nil until it has begun
	upload *upload         // nil unless the content streams
	meter  *quota.Meter    // nil if nothing is counted
	most   int64           // the most content, in bytes
	ended  func(int)       // Ended of the gate's [Verdict]
	byGate bool            // the answer is the gate's
	// answered is the status of the program's answer once the answer is whole; 0 before.
	answered int
	via      string // what the gateway adds to the Via of the request
	req      claim.Request
	fields   [16]claim.Field
	values   [8]string
}

// fill converts the visitor's request for the core.
func (s *visit) fill() {
	r := s.r
	target := wire.Target(r)
	method := r.Method
	if method == http.MethodConnect { // of HTTP/2, for a WebSocket; it is GET in HTTP/1.1
		method = http.MethodGet
		if _, set := r.Header["Sec-Websocket-Key"]; !set {
			r.Header["Sec-Websocket-Key"] = []string{newKey()}
		}
	}
	own := s.hopOf(r, s.label, target)
	s.via = own.via
	var entry claim.Entry
	if s.EntryOf != nil {
		entry = s.EntryOf(r)
	}
	s.req = claim.Request{
		Method:      method,
		Target:      target,
		URL:         own.url,
		Base:        s.base,
		HTTPVersion: viaVersion(r),
		RemoteAddr:  s.Trust.Visitor(r),
		Upgrade:     upgradeOf(r),
		Entry:       entry,
		Fields:      s.appendFields(s.fields[:0], r, s.label, own),
		Keyed:       slices.ContainsFunc(keys, func(name string) bool { return len(r.Header[name]) > 0 }),
	}
	s.Traces.Set(&s.req)
}

// moved has another node serve the request, as the new home of the claim, if it failed with err because
// the claim has moved, and nothing stands in the way. It reports whether it did.
func (s *visit) moved(err error) bool {
	f, is := errors.AsType[*claim.Failure](err)
	if s.Moved == nil || !is || f.Err != claim.ErrMoved || s.upload != nil || s.req.Upgrade != "" {
		return false
	}
	r := s.r
	if content := s.req.Content.Bytes(); len(content) > 0 { // it was read
		again := *r
		again.Body = io.NopCloser(bytes.NewReader(content))
		r = &again
	}
	return s.Moved(s.w, r, s.label, s.hold, f.Before)
}

// Evict ends the exchange because of why while it waits for its visitor.
func (s *visit) Evict(why error) {
	rc := http.NewResponseController(s.w)
	if why == claim.ErrDraining {
		if s.x.Reject(why) { // otherwise it has an answer, or fails in another way
			_ = rc.SetReadDeadline(intake.Past)
		}
		return
	}
	// In this order: the error for the visitor then resets the write deadline.
	_ = rc.SetWriteDeadline(intake.Past)
	_ = rc.SetReadDeadline(intake.Past)
	s.x.Reject(why)
}

// refusal returns the problem of a request that is refused before its claim is looked up, or nil.
func (v *Visits) refusal(r *http.Request, label string) *problem.Problem {
	switch {
	case r.Method == http.MethodConnect && upgradeOf(r) == "":
		return &problem.Problem{Code: schema.CodeBadRequest, Detail: "A claim is no tunnel: CONNECT is not relayed."}
	case v.loops(r, label):
		return &problem.Problem{Code: schema.CodeLoop}
	case v.Public.PathPrefix != "" && strings.EqualFold(r.Header.Get("Service-Worker"), "script"):
		return &problem.Problem{Code: schema.CodeServiceWorkerRefused}
	case !v.Rate.Allow(v.Trust.Address(r)):
		return &problem.Problem{Code: schema.CodeRateLimited}
	case v.Withdrawn.Has(label):
		return &problem.Problem{Code: schema.CodeTakenDown}
	}
	return nil
}

// tellWho adds a link to who blocks a label that was taken down (RFC 7725, 4).
func (v *Visits) tellWho(w http.ResponseWriter, code schema.Code) {
	if code == schema.CodeTakenDown {
		w.Header().Set("Link", "<"+v.Public.Control+`>; rel="blocked-by"`)
	}
}

// keys are the fields by which a handler recognises a repeated request.
var keys = []string{"Idempotency-Key", "Webhook-Id"}

// appendURL appends the target URI (RFC 9110, 7.1) to b.
func (v *Visits) appendURL(b []byte, label, target string) []byte {
	below, _ := publicurl.BelowOrigin(target)
	return v.Public.AppendURL(b, label, below)
}

// RedirectToSlash sends a visitor of /at/label to /at/label/.
func (v *Visits) RedirectToSlash(w http.ResponseWriter, r *http.Request, label string) {
	if !claim.ValidLabel(label) {
		intake.Refuse(w, r, &problem.Problem{Code: schema.CodeNoClaim, Handed: claim.HandedNo})
		return
	}
	_, query, has := strings.Cut(wire.Target(r), "?")
	to := v.Public.PathPrefix + label + "/"
	if has {
		to += "?" + query
	}
	w.Header().Set("Location", to)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusPermanentRedirect)
}

// pace returns the pace of a visitor's content, whose grace is the time for the answer.
func (v *Visits) pace(timeout time.Duration) intake.Pace {
	return intake.Pace{Grace: timeout, Rate: v.ContentRate, Pause: v.ContentPause}
}
