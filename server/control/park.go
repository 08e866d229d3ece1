package control

import (
	"context"
	"math"
	"net/http"
	"time"

	"reversehttp/server/budget"
	"reversehttp/server/claim"
	"reversehttp/server/intake"
	"reversehttp/server/wire"
)

// waiter is a poll that waits for messages.
type waiter interface {
	// serve answers with what comes until a time, and reports whether the poll is over. If it is
	// not, serve may be called again, with another response for the rest of the answer.
	serve(ctx context.Context, w http.ResponseWriter, hold *budget.Hold, until time.Time) (over bool)
	// nap makes the poll wait by n from now on.
	nap(n claim.Napper)
	// begun reports whether the response's head was sent.
	begun() bool
}

// parked is how long a poll waits before it leaves net/http, which needs twice the memory of a
// claim and its poll for a request. Leaving and coming back costs about a third of an exchange,
// which is little after such a wait; and of thousands of polls, few are in net/http at a time.
const parked = 100 * time.Millisecond

// serve serves a poll to its end. A parked poll is served apart from its request, with its own
// hold.
func (p *Polls) serve(w http.ResponseWriter, r *http.Request, one waiter) {
	if one.serve(r.Context(), w, intake.HoldOf(r), time.Now().Add(parked)) {
		return
	}
	hold, s := p.Registry.Options().Budget.Open(p.Trust.Address(r)), SessionOf(r)
	apart := wire.Detach(w, r, one.begun(), func(ctx context.Context, w *wire.Detached) {
		defer hold.Close()
		s.Claim().Charge(hold)
		hold.Add(pollWeight) // the memory is already in use
		evictable(hold, w)
		one.nap(w)
		one.serve(ctx, w, hold, never())
	})
	if !apart {
		hold.Close()
		one.serve(r.Context(), w, intake.HoldOf(r), never())
	}
}

// never returns a time that no poll lives to see.
func never() time.Time { return time.Now().Add(math.MaxInt64) }
