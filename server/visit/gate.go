package visit

import (
	"bytes"
	"errors"
	"net/http"
	"slices"
	"strings"

	"reversehttp/server/claim"
	"reversehttp/server/intake"
	"reversehttp/server/problem"
	"reversehttp/server/wire"
)

// Gates stand before a claim. The zero value lets every request pass.
type Gates struct {
	// Judge is asked with the head of a request, once its claim is found: the content is nil then. The
	// Cookie fields are as the visitor sent them: head has none of the gateway's own. Nil passes every request.
	Judge func(c *claim.Claim, head *claim.Request, cookies []string) Verdict
	// Absent is called, once for a request, if the visitor would get no_handler, and returns a
	// whole answer to send instead, or nil. A nil Absent answers none.
	Absent func(c *claim.Claim, r *claim.Request) *claim.Answer
	// Refused is called with each request that the gate refuses, as it would have been passed on, and the content
	// that was held. Nil is not called.
	Refused func(c *claim.Claim, r *claim.Request, content []byte, why *problem.Problem)
}

// Verdict is a gate's decision on a request. The zero value passes it unchanged.
type Verdict struct {
	// Answer is a whole answer to the visitor in place of the program's. Nil passes the request on.
	Answer *claim.Answer
	// Cookie is a Set-Cookie of the gateway's own that goes with Answer. Empty sets none.
	Cookie string
	// Refuse is a problem for the visitor, in place of an answer. Nil refuses nothing.
	Refuse *problem.Problem
	// Most bounds the content that is passed on, in bytes. Nil means the gateway's bound.
	Most *int64
	// Target replaces the request target. Empty leaves it unchanged.
	Target string
	// Drop names fields to remove. Set are fields that replace all fields of their names.
	Drop []string
	Set  []claim.Field
	// Then judges the whole content, at most Hold bytes, before the program gets the request. Hold
	// and Then of its own verdict are ignored. A nil Then needs no content. A visitor who sends
	// more gets content_too_large. An upgrade has no content and is not held.
	Then func(content []byte) Verdict
	Hold int
	// Ended is called once, when a request that was passed on is over, with the status of the program's
	// answer, or 0 if there was no whole answer. Nil is not called.
	Ended func(status int)
}

// judge lets the gate, if any, judge the request, and sends the gate's answer, if any.
// passed reports whether the request goes on; held reports whether its content was read into req.
func (s *visit) judge() (passed, held bool) {
	w, r, c, req, hold := s.w, s.r, s.c, &s.req, s.hold
	if s.Gates.Judge == nil {
		return true, false
	}
	verdict := s.Gates.Judge(c, req, r.Header["Cookie"])
	s.rewrite(verdict)
	if verdict.Most != nil {
		s.most = min(s.most, *verdict.Most)
	}
	var content []byte
	if verdict.passes() && verdict.Then != nil && req.Upgrade == "" {
		c.Charge(hold)
		rc := http.NewResponseController(w)
		hold.Evictable(func(error) { _ = rc.SetReadDeadline(intake.Past) })
		var err error
		if content, err = s.pace(c.State().Timeout).Read(w, r, int(min(int64(verdict.Hold), s.most)), hold); err != nil {
			s.refuse(nil, problem.Of(err))
			return false, false
		}
		held = true
		if trailers := trailersOf(r, true); len(trailers) > 0 { // only content that is fetched has them
			req.Content = claim.Streamed(&heldContent{Reader: bytes.NewReader(content), trailers: trailers})
		} else {
			req.Content = claim.Whole(content)
			req.Fields = slices.DeleteFunc(req.Fields, func(f claim.Field) bool { return f.Name == "Trailer" })
		}
		verdict = verdict.Then(content)
		s.rewrite(verdict)
	}
	switch {
	case verdict.passes():
		s.ended = verdict.Ended
		return true, held
	case verdict.Refuse != nil:
		s.refuse(content, verdict.Refuse)
		return false, held
	case !held:
		defer wire.Leaving(w, r)()
	}
	if verdict.Cookie != "" {
		w.Header().Add("Set-Cookie", verdict.Cookie)
	}
	s.byGate = true
	s.answer(verdict.Answer)
	return false, held
}

// passes reports whether the request is passed on.
func (v Verdict) passes() bool { return v.Answer == nil && v.Refuse == nil }

// refuse refuses the request on behalf of the gate. content is what was held of it.
func (s *visit) refuse(content []byte, p *problem.Problem) {
	p.Handed = claim.HandedNo
	if s.Gates.Refused != nil {
		s.Gates.Refused(s.c, &s.req, content, p)
	}
	intake.Refuse(s.w, s.r, p)
}

// heldContent is content that was held for a gate, with its trailers.
type heldContent struct {
	*bytes.Reader
	trailers []claim.Field
}

// Length returns the length of the content in bytes.
func (h *heldContent) Length() int64 { return h.Size() }

// Trailers returns the fields after the content.
func (h *heldContent) Trailers() []claim.Field { return h.trailers }

// Close does nothing.
func (h *heldContent) Close() error { return nil }

// rewrite applies the changes of a verdict to the request.
func (s *visit) rewrite(verdict Verdict) {
	req := &s.req
	if verdict.Target != "" {
		req.Target, req.URL = verdict.Target, string(s.appendURL(nil, s.label, verdict.Target))
	}
	gone := func(f claim.Field) bool {
		named := func(name string) bool { return strings.EqualFold(name, f.Name) }
		return slices.ContainsFunc(verdict.Drop, named) || slices.ContainsFunc(verdict.Set, func(f claim.Field) bool { return named(f.Name) })
	}
	if len(verdict.Drop) > 0 || len(verdict.Set) > 0 {
		req.Fields = append(slices.DeleteFunc(req.Fields, gone), verdict.Set...)
		sortFields(req.Fields)
		req.Keyed = slices.ContainsFunc(req.Fields, func(f claim.Field) bool { return slices.Contains(keys, http.CanonicalHeaderKey(f.Name)) })
	}
}

// absence returns a function that asks the gate for an answer in place of an absent program; nil if
// there is no gate.
func (s *visit) absence() func() *claim.Answer {
	if s.Gates.Absent == nil {
		return nil
	}
	return func() *claim.Answer { return s.Gates.Absent(s.c, &s.req) }
}

// absent sends the gate's answer in place of err, if the gate has one, and reports whether it did.
// unread says that the content was not read to its end.
func (s *visit) absent(err error, unread bool) bool {
	f, failed := errors.AsType[*claim.Failure](err)
	if !failed || f.Answer == nil {
		return false
	}
	if unread {
		defer wire.Leaving(s.w, s.r)()
	}
	s.answer(f.Answer)
	return true
}

// answer writes a whole answer in place of the program's. Its hold may be taken back while the
// visitor is slow.
func (s *visit) answer(a *claim.Answer) {
	rc := http.NewResponseController(s.w)
	s.hold.Evictable(func(error) { _ = rc.SetWriteDeadline(intake.Past) })
	whole := *a
	whole.More = false
	s.relay(&whole)
}
