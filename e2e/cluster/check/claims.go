package check

import (
	"maps"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"
)

// owner is what a label has: the token that owns it, or none, and the term of its home.
type owner struct {
	token string
	term  uint64
	// released says that the label had an owner, who may have it kept for a while.
	released bool
}

// The calls about a claim.
const (
	Claim   = "claim"   // POST /claims
	Replace = "replace" // PATCH with a new token
	Release = "release" // DELETE
)

// searchTime bounds the search for an order of the calls about one label.
const searchTime = time.Minute

// claims checks by a search that calls about a label have an order in which each response is right:
// the label is a register that holds a token.
func claims(h *history) {
	byLabel := make(map[string][]porcupine.Operation)
	for i, c := range h.calls {
		o := porcupine.Operation{ClientId: i, Input: c.Event, Call: c.At, Output: Event{}, Return: forever}
		if c.over != nil && known(*c.over) {
			o.Output, o.Return = *c.over, c.over.At
		}
		byLabel[c.Label] = append(byLabel[c.Label], o)
	}
	model := (&porcupine.NondeterministicModel{
		Init: func() []any { return []any{owner{}} },
		Step: func(state, input, output any) []any { return step(state.(owner), input.(Event), output.(Event)) },
	}).ToModel()
	for _, label := range slices.Sorted(maps.Keys(byLabel)) {
		operations := byLabel[label]
		switch porcupine.CheckOperationsTimeout(model, operations, searchTime) {
		case porcupine.Illegal:
			h.find("claims", "no order of the %d calls about %s explains their responses", len(operations), label)
		case porcupine.Unknown:
			h.find("claims", "the search for an order of the %d calls about %s took too long", len(operations), label)
		}
	}
}

// known reports whether a response says whether the call was done.
func known(e Event) bool { return e.Status >= 200 && e.Status < 500 && !e.Cut }

// step returns what a label may have after a call, none if the response is wrong.
func step(o owner, c, r Event) (next []any) {
	if r.Status == 0 { // it was done, or was not
		next = append(next, o)
		if then, ok := done(o, c); ok {
			next = append(next, then)
		}
		return next
	}
	then, may := done(o, c)
	switch ok := r.Status < 300; {
	case ok && may && (r.Term == 0 || r.Term >= o.term):
		then.term = max(then.term, r.Term)
		return []any{then}
	case ok:
		return nil
	case r.Status == 404 && o.token == "" && c.Do != Claim:
		return []any{o}
	case r.Status == 403 && (o.token != "" && o.token != c.Token || o.token == "" && o.released && c.Do == Claim):
		return []any{o}
	case r.Status == 429: // refused for another reason
		return []any{o}
	}
	return nil
}

// done returns what a label has after a call that is allowed.
func done(o owner, c Event) (owner, bool) {
	mine := o.token == c.Token
	switch c.Do {
	case Claim:
		if o.token == "" || mine {
			return owner{token: c.Token, term: o.term, released: o.released}, true
		}
	case Replace:
		if mine {
			return owner{token: c.New, term: o.term, released: o.released}, true
		}
	case Release:
		if mine {
			return owner{term: o.term, released: true}, true
		}
	}
	return owner{}, false
}
