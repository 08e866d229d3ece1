package gateway

import (
	"context"
	stdjson "encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-json-experiment/json"

	"reversehttp/schema"
	"reversehttp/server/claim"
	"reversehttp/server/problem"
	"reversehttp/server/terms"
)

// maxControlBytes bounds the JSON that claims or changes a claim.
const maxControlBytes = 16 << 10

// discover answers GET /.well-known/reversehttp.
func (g *Gateway) discover(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Cache-Control", "no-cache")
	writeJSON(w, http.StatusOK, schema.Discovery{
		Version: 1, Claims: g.public.Control + "claims", URLTemplate: g.public.String(),
		Transports: []string{"json", "ndjson", "sse"}, KeyNeeded: g.keys.Needed(), Family: g.family(), Limits: g.limits(),
	})
}

// limits tells the bounds that a program should know.
func (g *Gateway) limits() schema.Limits {
	l, times := g.registry.Limits(), g.registry.Times()
	return schema.Limits{
		InlineBytes: g.options.InlineBytes, ContentBytes: g.options.ContentBytes, PartBytes: g.options.PartBytes,
		WaitSeconds: int(times.Wait / time.Second), StreamSeconds: int(times.Stream / time.Second), HeartbeatSeconds: int(times.Heartbeat / time.Second),
		Batch: l.Batch, AnswerBytes: g.options.AnswerBytes, Sessions: l.Sessions, Queue: l.Queue,
	}
}

// open answers POST /claims.
func (g *Gateway) open(w http.ResponseWriter, r *http.Request) {
	if err := g.mayClaim(r); err != nil {
		err.Write(w, r)
		return
	}
	var ask schema.ClaimRequest
	all, err := g.decode(w, r, &ask)
	if err != nil {
		err.Write(w, r)
		return
	}
	set, err := settings(terms.Asked{Lease: ask.Lease, TimeoutMs: ask.TimeoutMs, Redeliver: ask.Redeliver, Members: all})
	switch {
	case err != nil:
	case ask.Label != nil && !claim.ValidLabel(*ask.Label):
		err = problem.BadLabel(*ask.Label)
		err.Pointer = "/label"
	case ask.Token != nil && !claim.ValidToken(*ask.Token):
		err = &problem.Problem{Code: schema.CodeBadToken, Pointer: "/token"}
	}
	if err != nil {
		err.Write(w, r)
		return
	}
	opened, failure := g.registry.Open(g.trust.Address(r), value(ask.Label), value(ask.Token), set)
	if failure != nil {
		problem.Of(failure).Write(w, r)
		return
	}
	answer := g.claimAnswer(opened)
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Location", answer.Claim)
	h.Set("Link", "<"+answer.Requests+`>; rel="first", <`+answer.URL+`>; rel="related"`)
	status := http.StatusOK
	if opened.Created {
		status = http.StatusCreated
	}
	writeJSON(w, status, terms.With{Object: answer, Others: opened.State.Others})
}

// mayClaim checks the key, where one is needed, and the rate.
func (g *Gateway) mayClaim(r *http.Request) *problem.Problem {
	if p := g.tooOften(r); p != nil {
		return p
	}
	if !g.keys.Needed() {
		return nil
	}
	key, shown := bearer(r)
	switch {
	case !shown:
		return &problem.Problem{Code: schema.CodeKeyNeeded}
	case !g.keys.Valid(key):
		return &problem.Problem{Code: schema.CodeKeyWrong}
	}
	return nil
}

// tooOften keeps the rate of claiming.
func (g *Gateway) tooOften(r *http.Request) *problem.Problem {
	if !g.claimants.Allow(g.trust.Address(r)) {
		return &problem.Problem{Code: schema.CodeRateLimited}
	}
	return nil
}

func (g *Gateway) claimAnswer(o *claim.Opened) schema.ClaimAnswer {
	at, session := g.claimURL(o.Session.Claim()), g.sessionURL(o.Session)
	return schema.ClaimAnswer{
		Label: o.State.Label, URL: g.public.Base(o.State.Label), Token: o.Token,
		Lease: int(o.State.Lease / time.Second), TimeoutMs: int(o.State.Timeout.Milliseconds()),
		Redeliver: schema.Redeliver(o.State.Redeliver),
		Claim:     at, Session: session, Requests: session + "/requests", Responses: session + "/responses",
		Tunnel: g.tunnelURL(session), Cursor: o.Session.Cursor(), Limits: g.limits(),
	}
}

func (g *Gateway) claimURL(c *claim.Claim) string { return g.public.Control + "claims/" + c.Label() }

func (g *Gateway) sessionURL(s *claim.Session) string {
	return g.claimURL(s.Claim()) + "/sessions/" + s.ID()
}

// Settings checks what an owner wants of a claim, as the JSON of a [schema.ClaimRequest] says. An
// error is for [Gateway.Refuse].
func Settings(ask schema.ClaimRequest, content []byte) (claim.Settings, error) {
	var all map[string]stdjson.RawMessage
	_ = stdjson.Unmarshal(content, &all) // it was decoded
	s, p := settings(terms.Asked{Lease: ask.Lease, TimeoutMs: ask.TimeoutMs, Redeliver: ask.Redeliver, Members: all})
	if p != nil {
		return s, p
	}
	return s, nil
}

// settings checks what an owner wants of a claim.
func settings(a terms.Asked) (claim.Settings, *problem.Problem) {
	s, err := terms.Read(a)
	if e, ok := errors.AsType[*terms.Error](err); ok {
		return s, &problem.Problem{Code: e.Code, Pointer: "/" + e.Member, Detail: e.Detail}
	}
	return s, nil
}

// decode reads the JSON object of a control request into v, and returns its members as they came.
// Empty content is an empty object. A member of the wrong type is said to be bad by its name.
func (g *Gateway) decode(w http.ResponseWriter, r *http.Request, v any) (all map[string]stdjson.RawMessage, p *problem.Problem) {
	body, err := g.readJSON(w, r, maxControlBytes)
	if err != nil {
		return nil, problem.Of(err)
	}
	if body == nil {
		return nil, nil
	}
	if p := problem.Misshapen(body); p != nil {
		return nil, p
	}
	err = json.Unmarshal(body, v)
	if err == nil && body[firstByte(body)] != '{' {
		return nil, &problem.Problem{Code: schema.CodeBadJSON}
	}
	if err == nil {
		_ = stdjson.Unmarshal(body, &all) // it is an object
		return all, nil
	}
	return nil, badMember(err)
}

// badMember says which member could not be decoded.
func badMember(err error) *problem.Problem {
	p := problem.BadJSON(err)
	if _, ok := errors.AsType[*json.SemanticError](err); !ok {
		return p // malformed, or a member twice
	}
	switch p.Pointer {
	case "/label":
		p.Code, p.Detail = schema.CodeBadLabel, ""
	case "/token":
		p.Code, p.Detail = schema.CodeBadToken, ""
	case "/lease":
		p.Code, p.Detail = schema.CodeBadLease, ""
	case "":
	default:
		p.Code, p.Detail = schema.CodeBadMember, ""
	}
	return p
}

// firstByte finds where JSON begins after white space.
func firstByte(body []byte) int {
	return max(strings.IndexFunc(string(body), func(c rune) bool { return !strings.ContainsRune(" \t\r\n", c) }), 0)
}

// inspect answers GET {claim}.
func (g *Gateway) inspect(w http.ResponseWriter, r *http.Request) {
	g.writeState(w, claimOf(r))
}

// change answers PATCH {claim}.
func (g *Gateway) change(w http.ResponseWriter, r *http.Request) {
	var patch schema.ClaimPatch
	all, err := g.decode(w, r, &patch)
	if err != nil {
		err.Write(w, r)
		return
	}
	set, err := settings(terms.Asked{Lease: patch.Lease, TimeoutMs: patch.TimeoutMs, Redeliver: patch.Redeliver, Members: all})
	if err == nil && patch.Token != nil && !claim.ValidToken(*patch.Token) {
		err = &problem.Problem{Code: schema.CodeBadToken, Pointer: "/token"}
	}
	if err != nil {
		err.Write(w, r)
		return
	}
	set.Token = patch.Token
	c := claimOf(r)
	if err := c.Change(set); err != nil {
		problem.Of(err).Write(w, r)
		return
	}
	g.writeState(w, c)
}

func (g *Gateway) writeState(w http.ResponseWriter, c *claim.Claim) {
	w.Header().Set("Cache-Control", "no-store")
	writeJSON(w, http.StatusOK, g.State(c))
}

// State returns the state of a claim, a [schema.ClaimState] with all terms.
func (g *Gateway) State(c *claim.Claim) terms.With {
	st := c.State()
	out := schema.ClaimState{
		Label: st.Label, URL: g.public.Base(st.Label), Lease: int(st.Lease / time.Second),
		LeaseLeftMs: int(st.LeaseLeft.Milliseconds()), TimeoutMs: int(st.Timeout.Milliseconds()),
		Redeliver: schema.Redeliver(st.Redeliver), Sessions: []schema.SessionState{}, Queue: st.Queue,
		Counters: schema.Counters{
			Done: int(st.Ends[claim.Done]), Failed: int(st.Ends[claim.Failed]),
			TimedOut: int(st.Ends[claim.TimedOut]), Abandoned: int(st.Ends[claim.Abandoned]),
		},
	}
	for _, s := range st.Sessions {
		out.Sessions = append(out.Sessions, schema.SessionState{ID: s.ID, Parked: s.Parked, Held: s.Held, IdleMs: int(s.Idle.Milliseconds())})
	}
	return terms.With{Object: out, Others: st.Others}
}

// remove answers DELETE {claim}.
func (g *Gateway) remove(w http.ResponseWriter, r *http.Request) {
	if err := claimOf(r).Delete(); err != nil {
		problem.Of(err).Write(w, r)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// leave answers DELETE {session}.
func (g *Gateway) leave(w http.ResponseWriter, r *http.Request) {
	if err := sessionOf(r).End(lastEventID(r)); err != nil {
		problem.Of(err).Write(w, r)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// owned lets the owner of a live claim through to next.
func (g *Gateway) owned(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := g.registry.Lookup(chi.URLParam(r, "label"))
		if p := authorise(r, c, schema.CodeNoClaim); p != nil {
			p.Write(w, r)
			return
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), claimKey{}, c)))
	})
}

// serving lets the owner of a session through to next; its claim may have ended.
func (g *Gateway) serving(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		label := chi.URLParam(r, "label")
		s := g.registry.Session(label, chi.URLParam(r, "session"))
		code, c := schema.CodeNoSession, (*claim.Claim)(nil)
		switch {
		case s != nil:
			c = s.Claim()
		case g.registry.Lookup(label) == nil:
			code = schema.CodeNoClaim
		}
		if p := authorise(r, c, code); p != nil {
			p.Write(w, r)
			return
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), sessionKey{}, s)))
	})
}

// authorise checks that r shows the token of c. Where c is nil it says missing.
func authorise(r *http.Request, c *claim.Claim, missing schema.Code) *problem.Problem {
	token, shown := bearer(r)
	switch {
	case !shown:
		return &problem.Problem{Code: schema.CodeTokenNeeded}
	case c == nil:
		return &problem.Problem{Code: missing}
	case !c.Owns(token):
		return &problem.Problem{Code: schema.CodeTokenWrong}
	}
	return nil
}

// bearer gives the secret that r shows (RFC 6750, 2.1).
func bearer(r *http.Request) (secret string, shown bool) {
	scheme, secret, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	return strings.TrimSpace(secret), ok && strings.EqualFold(scheme, "Bearer")
}

type (
	claimKey   struct{}
	sessionKey struct{}
)

func claimOf(r *http.Request) *claim.Claim { return r.Context().Value(claimKey{}).(*claim.Claim) }
func sessionOf(r *http.Request) *claim.Session {
	return r.Context().Value(sessionKey{}).(*claim.Session)
}

func value(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	// The tags of our types are those of encoding/json: its omitempty keeps a
	// pointer to an empty string.
	body, err := stdjson.Marshal(v)
	if err != nil {
		panic("gateway: " + err.Error()) // our own types always marshal
	}
	body = append(body, '\n')
	w.Header()["Content-Type"] = []string{"application/json"}
	w.Header()["Content-Length"] = []string{strconv.Itoa(len(body))} // it is whole before anybody lingers
	w.WriteHeader(status)
	_, _ = w.Write(body)
}
