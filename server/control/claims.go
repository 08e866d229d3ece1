// Package control is the program's side of a gateway: the control API of schema/README.md. Programs
// make and change claims, poll for requests, and post answers in messages or as raw content.
package control

import (
	stdjson "encoding/json"
	"errors"
	"log/slog"
	"math"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"reversehttp/schema"
	"reversehttp/server/account"
	"reversehttp/server/admission"
	"reversehttp/server/claim"
	"reversehttp/server/domain"
	"reversehttp/server/intake"
	"reversehttp/server/problem"
	"reversehttp/server/quota"
	"reversehttp/server/terms"
)

// Bounds are the bounds that programs learn and must keep.
type Bounds struct {
	// Each is the most content in bytes: InlineBytes of a request in its envelope,
	// FramedInlineBytes of a request beside it, ContentBytes of a request, PartBytes of a part, and
	// AnswerBytes of a POST of answers.
	InlineBytes, FramedInlineBytes, ContentBytes, PartBytes, AnswerBytes int
	// Fields is the most fields of an answer, and FieldBytes the most bytes of all of them.
	Fields, FieldBytes int
}

// Claims serves the resources of claims and their sessions. Its members are set before its first
// use and do not change.
type Claims struct {
	Registry  *claim.Registry
	Domains   *domain.Domains
	Envelopes Envelopes
	Admission *admission.Admission
	Bounds    Bounds
	Pace      intake.Pace
	// Family returns the URLs of other doors.
	Family func() schema.Family
	Log    *slog.Logger
	// Others has the other nodes of a cluster serve a request, and returns the content of their answers. Nil
	// means that there are none.
	Others func(*http.Request) [][]byte
	// CookiesShared says that pages may set cookies for all claims.
	CookiesShared bool
	// Quotas have what is used. Nil means that nothing is counted.
	Quotas *quota.Book
}

// maxControlBytes bounds the JSON that claims or changes a claim.
const maxControlBytes = 16 << 10

// Discover answers GET /.well-known/reversehttp.
func (c *Claims) Discover(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Cache-Control", "no-cache")
	writeJSON(w, http.StatusOK, schema.Discovery{
		Version: 1, Claims: c.Envelopes.Public.Control + "claims", URLTemplate: c.Envelopes.Public.String(),
		Transports: []string{"json", "ndjson", "sse", "framed"}, KeyNeeded: c.Admission.KeyNeeded(), Usage: c.Envelopes.Public.Control + "usage", CookiesShared: c.CookiesShared, Family: c.Family(), Limits: c.limits(),
	})
}

// limits returns the bounds that a program should know.
func (c *Claims) limits() schema.Limits {
	l, times := c.Registry.Options().Limits, c.Registry.Options().Times
	return schema.Limits{
		InlineBytes: c.Bounds.InlineBytes, FramedInlineBytes: c.Bounds.FramedInlineBytes, ContentBytes: c.Bounds.ContentBytes, PartBytes: c.Bounds.PartBytes,
		WaitSeconds: int(times.Wait / time.Second), StreamSeconds: int(times.Stream / time.Second), HeartbeatSeconds: int(times.Heartbeat / time.Second),
		Batch: l.Batch, AnswerBytes: c.Bounds.AnswerBytes, Sessions: l.Sessions, Queue: l.Queue,
	}
}

// Open answers POST /claims.
func (c *Claims) Open(w http.ResponseWriter, r *http.Request) {
	holder, err := c.Admission.MayClaim(r)
	if err != nil {
		err.Write(w, r)
		return
	}
	var ask schema.ClaimRequest
	all, err := c.decode(w, r, &ask, maxControlBytes)
	if err != nil {
		err.Write(w, r)
		return
	}
	label, token := value(ask.Label), value(ask.Token)
	of := c.Registry.Lookup(label)
	set, err := settings(terms.Asked{Lease: ask.Lease, TimeoutMs: ask.TimeoutMs, Redeliver: ask.Redeliver, Members: all, LongestLease: c.Admission.LongestLease(holder, of), From: c.Admission.From(r)})
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
	if err := c.Admission.ShownFor(c.Admission.From(r), label, token, of); err != nil {
		err.Write(w, r)
		return
	}
	if p := c.Admission.MayName(holder, label); p != nil && of == nil {
		p.Pointer = "/label"
		p.Write(w, r)
		return
	}
	if !holder.MayClaim(label) {
		problem.New(schema.CodeLabelReserved, "Your token is for other labels. Claim one that it has.").Write(w, r)
		return
	}
	c.Admission.By(holder, r, of, &set)
	opened, failure := c.Registry.Open(c.Admission.Trust.Address(r), label, token, set)
	if failure != nil {
		refusal(failure).Write(w, r)
		return
	}
	if opened.Created && holder.Name != "" {
		c.Log.Info("claimed by an account", "label", opened.State.Label, "account", holder.Name)
	}
	answer := c.claimAnswer(opened)
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

// refusal returns the problem for an error of a claim, with a pointer to the member at fault.
func refusal(err error) *problem.Problem {
	p := problem.Of(err)
	if p.Code == schema.CodeBadToken {
		p.Pointer = "/token"
	}
	return p
}

func (c *Claims) claimAnswer(o *claim.Opened) schema.ClaimAnswer {
	at, session := c.Envelopes.ClaimURL(o.Session.Claim()), c.Envelopes.SessionURL(o.Session)
	own := c.Domains.Tell(o.Session.Claim())
	return schema.ClaimAnswer{
		DomainURL: own.URL, DomainRecord: own.Record, DomainValue: own.Value, DomainProblem: own.Problem,
		Label: o.State.Label, URL: c.Envelopes.Public.Base(o.State.Label), Token: o.Token,
		Lease: int(o.State.Lease / time.Second), TimeoutMs: int(o.State.Timeout.Milliseconds()),
		Redeliver: schema.Redeliver(o.State.Redeliver),
		Claim:     at, Session: session, Requests: session + "/requests", Responses: session + "/responses",
		Link: c.Envelopes.linkURL(session), Exchanges: at + "/exchanges", Shares: at + "/shares", Cursor: o.Cursor, Limits: c.limits(),
	}
}

// Settings checks what an owner at an address wants of a claim, as the JSON of a [schema.ClaimRequest] says. An
// error is for [reversehttp/server/door.Refuse].
func Settings(ask schema.ClaimRequest, content []byte, from netip.Addr) (claim.Settings, error) {
	var all map[string]stdjson.RawMessage
	_ = stdjson.Unmarshal(content, &all) // it was decoded before
	s, p := settings(terms.Asked{Lease: ask.Lease, TimeoutMs: ask.TimeoutMs, Redeliver: ask.Redeliver, Members: all, From: from})
	if p != nil {
		return s, p
	}
	return s, nil
}

// settings checks the settings that an owner asks for.
func settings(a terms.Asked) (claim.Settings, *problem.Problem) {
	delete(a.Members, terms.Viewer)  // its token is minted; an owner cannot set it
	delete(a.Members, terms.Account) // it is shown by a key
	s, err := terms.Read(a)
	if e, ok := errors.AsType[*terms.Error](err); ok {
		return s, &problem.Problem{Code: e.Code, Pointer: "/" + e.Member, Detail: e.Detail}
	}
	return s, nil
}

// decode reads the JSON object of a control request, at most most bytes, into v, and returns its
// members undecoded. Empty content counts as an empty object. The problem of a member with the
// wrong type names it.
func (c *Claims) decode(w http.ResponseWriter, r *http.Request, v any, most int) (all map[string]stdjson.RawMessage, p *problem.Problem) {
	body, err := readJSON(w, r, c.Pace, most)
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

// badMember returns a problem that names the member that could not be decoded.
func badMember(err error) *problem.Problem {
	p := problem.BadJSON(err)
	if _, ok := errors.AsType[*json.SemanticError](err); !ok {
		return p // malformed, or with a duplicate member
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

// firstByte returns the first byte after white space.
func firstByte(body []byte) int {
	return max(strings.IndexFunc(string(body), func(c rune) bool { return !strings.ContainsRune(" \t\r\n", c) }), 0)
}

// Inspect answers GET {claim}.
func (c *Claims) Inspect(w http.ResponseWriter, r *http.Request) {
	c.writeState(w, claimOf(r), "")
}

// Change answers PATCH {claim}.
func (c *Claims) Change(w http.ResponseWriter, r *http.Request) {
	if p := c.Admission.TooOften(r); p != nil { // each change is kept, and written down
		p.Write(w, r)
		return
	}
	var patch schema.ClaimPatch
	all, err := c.decode(w, r, &patch, maxControlBytes)
	if err != nil {
		err.Write(w, r)
		return
	}
	of := claimOf(r)
	set, err := settings(terms.Asked{Lease: patch.Lease, TimeoutMs: patch.TimeoutMs, Redeliver: patch.Redeliver, Members: all, LongestLease: c.Admission.LongestLease(account.Holder{}, of), From: c.Admission.From(r)})
	if err == nil && patch.Token != nil && !claim.ValidToken(*patch.Token) {
		err = &problem.Problem{Code: schema.CodeBadToken, Pointer: "/token"}
	}
	if err != nil {
		err.Write(w, r)
		return
	}
	set.Token, set.By = patch.Token, c.Admission.Trust.Address(r)
	viewer := ""
	if patch.Viewer != nil {
		if set.Others == nil {
			set.Others = make(map[string]claim.Term)
		}
		set.Others[terms.Viewer] = nil
		if *patch.Viewer {
			viewer, set.Others[terms.Viewer] = terms.NewViewer()
		}
	}
	if err := of.Change(set); err != nil {
		refusal(err).Write(w, r)
		return
	}
	c.writeState(w, of, viewer)
}

// writeState answers with the state of a claim, and a newly minted viewer's token, if any.
func (c *Claims) writeState(w http.ResponseWriter, of *claim.Claim, viewer string) {
	w.Header().Set("Cache-Control", "no-store")
	state := c.State(of)
	if viewer != "" {
		state.Others["viewerToken"] = viewer
	}
	writeJSON(w, http.StatusOK, state)
}

// State returns the state of a claim, a [schema.ClaimState] with all terms.
func (c *Claims) State(of *claim.Claim) terms.With {
	st := of.State()
	own := c.Domains.Tell(of)
	out := schema.ClaimState{
		DomainURL: own.URL, DomainRecord: own.Record, DomainValue: own.Value, DomainProblem: own.Problem,
		Label: st.Label, URL: c.Envelopes.Public.Base(st.Label), Lease: int(st.Lease / time.Second),
		LeaseLeftMs: int(st.LeaseLeft.Milliseconds()), TimeoutMs: int(st.Timeout.Milliseconds()),
		Redeliver: schema.Redeliver(st.Redeliver), Sessions: []schema.SessionState{}, Queue: st.Queue, Exchanges: c.Envelopes.ClaimURL(of) + "/exchanges", Shares: c.Envelopes.ClaimURL(of) + "/shares",
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

// Remove answers DELETE {claim}.
func (c *Claims) Remove(w http.ResponseWriter, r *http.Request) {
	if err := claimOf(r).Delete(c.Admission.Trust.Address(r)); err != nil {
		problem.Of(err).Write(w, r)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// Leave answers DELETE {session}.
func (c *Claims) Leave(w http.ResponseWriter, r *http.Request) {
	// Visitors wait as long as the gateway has them wait for a poll, whatever N is.
	wait, preferred := preferredWait(r, math.MaxInt64)
	if err := SessionOf(r).End(lastEventID(r), preferred && wait > 0); err != nil {
		problem.Of(err).Write(w, r)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func value(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
