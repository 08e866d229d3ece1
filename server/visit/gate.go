package visit

import (
	"bytes"
	"errors"
	"net/http"
	"slices"
	"strings"

	"reversehttp/server/budget"
	"reversehttp/server/claim"
	"reversehttp/server/intake"
	"reversehttp/server/problem"
	"reversehttp/server/wire"
)

// Gates stand before a claim. The zero value lets every request pass.
type Gates struct {
	// Judge is asked with the head of a request, once its claim is found: the content is nil then.
	// Nil passes every request.
	Judge func(c *claim.Claim, head *claim.Request) Verdict
	// Absent is asked once where the visitor would be told no_handler, and returns a whole answer in
	// place of that, or nil. It is not asked again for the same request. Nil answers none.
	Absent func(c *claim.Claim, r *claim.Request) *claim.Answer
}

// Verdict is what a gate has done with a request. The zero value passes it as it is.
type Verdict struct {
	// Answer answers the visitor, in place of the program. It is whole. Nil passes the request on.
	Answer *claim.Answer
	// Target takes the place of the request target of what is passed on. Empty leaves it.
	Target string
	// Drop names fields that go, and Set are fields that take the place of all those of their names.
	Drop []string
	Set  []claim.Field
	// Then judges the whole content, of which there may be at most Hold bytes, before the program is
	// asked. Of its verdict Hold and Then count no more. Nil asks for no content. A visitor who sends
	// more is told content_too_large; an upgrade has no content and is not held.
	Then func(content []byte) Verdict
	Hold int
}

// gate has the gate judge a request, if there is one, and answers it where the gate does. passed reports
// whether it goes on; held whether its content is read, and in req.
func (v *Visits) gate(w http.ResponseWriter, r *http.Request, c *claim.Claim, req *claim.Request, hold *budget.Hold) (passed, held bool) {
	if v.Gates.Judge == nil {
		return true, false
	}
	verdict := v.Gates.Judge(c, req)
	if verdict.Answer == nil {
		v.rewrite(c, req, verdict)
	}
	if verdict.Answer == nil && verdict.Then != nil && upgradeOf(r) == "" {
		c.Charge(hold)
		rc := http.NewResponseController(w)
		hold.Evictable(func(error) { _ = rc.SetReadDeadline(intake.Past) })
		content, err := v.pace(c.State().Timeout).Read(w, r, min(verdict.Hold, v.ContentBytes), hold)
		if err != nil {
			p := problem.Of(err)
			p.Handed = claim.HandedNo
			intake.Refuse(w, r, p)
			return false, false
		}
		held = true
		if trailers := trailersOf(r, true); len(trailers) > 0 { // only content that is fetched has them
			req.Content = claim.Streamed(&heldContent{Reader: bytes.NewReader(content), trailers: trailers})
		} else {
			req.Content = claim.Whole(content)
			req.Fields = slices.DeleteFunc(req.Fields, func(f claim.Field) bool { return f.Name == "Trailer" })
		}
		if verdict = verdict.Then(content); verdict.Answer == nil {
			v.rewrite(c, req, verdict)
		}
	}
	if verdict.Answer == nil {
		return true, held
	}
	if !held {
		defer wire.Leaving(w, r)()
	}
	v.answer(w, r, c, verdict.Answer, hold)
	return false, held
}

// heldContent is content that a gate has held, with the trailers that came after it.
type heldContent struct {
	*bytes.Reader
	trailers []claim.Field
}

// Length returns how many bytes there are in all.
func (h *heldContent) Length() int64 { return h.Size() }

// Trailers returns the fields after the content.
func (h *heldContent) Trailers() []claim.Field { return h.trailers }

// Close does nothing.
func (h *heldContent) Close() error { return nil }

// rewrite changes a request as a verdict says.
func (v *Visits) rewrite(c *claim.Claim, req *claim.Request, verdict Verdict) {
	if verdict.Target != "" {
		req.Target, req.URL = verdict.Target, v.urlOf(c.Label(), verdict.Target)
	}
	gone := func(f claim.Field) bool {
		named := func(name string) bool { return strings.EqualFold(name, f.Name) }
		return slices.ContainsFunc(verdict.Drop, named) || slices.ContainsFunc(verdict.Set, func(s claim.Field) bool { return named(s.Name) })
	}
	if len(verdict.Drop) > 0 || len(verdict.Set) > 0 {
		req.Fields = append(slices.DeleteFunc(req.Fields, gone), verdict.Set...)
		req.Keyed = slices.ContainsFunc(req.Fields, func(f claim.Field) bool { return slices.Contains(keys, http.CanonicalHeaderKey(f.Name)) })
	}
}

// absence returns what asks the gate for an answer in place of a program that is not there; nil where
// there is no gate.
func (v *Visits) absence(c *claim.Claim, req *claim.Request) func() *claim.Answer {
	if v.Gates.Absent == nil {
		return nil
	}
	return func() *claim.Answer { return v.Gates.Absent(c, req) }
}

// absent answers a visitor whose request failed with err, where a gate answers in place of the program.
// unread says that its content was not read to its end. It reports whether it did.
func (v *Visits) absent(w http.ResponseWriter, r *http.Request, c *claim.Claim, hold *budget.Hold, err error, unread bool) bool {
	f, failed := errors.AsType[*claim.Failure](err)
	if !failed || f.Answer == nil {
		return false
	}
	if unread {
		defer wire.Leaving(w, r)()
	}
	v.answer(w, r, c, f.Answer, hold)
	return true
}

// answer writes a whole answer in place of the program's. It may be taken back while the visitor is slow.
func (v *Visits) answer(w http.ResponseWriter, r *http.Request, c *claim.Claim, a *claim.Answer, hold *budget.Hold) {
	rc := http.NewResponseController(w)
	hold.Evictable(func(error) { _ = rc.SetWriteDeadline(intake.Past) })
	whole := *a
	whole.More = false
	v.relay(w, r, c.Label(), nil, &whole, hold)
}
