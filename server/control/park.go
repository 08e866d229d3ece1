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
	// serve answers with what comes until a time, and reports whether the poll is over. It may be called
	// again where it is not, with another response for what is left of the answer.
	serve(ctx context.Context, w http.ResponseWriter, hold *budget.Hold, until time.Time) (over bool)
	// nap has it wait by n from then on.
	nap(n claim.Napper)
	// begun reports whether the head of the response was sent.
	begun() bool
}

// parked is how long a poll waits before it leaves net/http, whose memory for a request is twice
// that of a claim and its poll. To leave and come back costs about a third of an exchange, which is
// little after so long a wait; and of thousands that poll at once, few are with net/http at a time.
const parked = 100 * time.Millisecond

// serve serves a poll to its end. One that is parked is served apart from its request, with a hold of its own.
func (p *Polls) serve(w http.ResponseWriter, r *http.Request, one waiter) {
	if one.serve(r.Context(), w, intake.HoldOf(r), time.Now().Add(parked)) {
		return
	}
	hold, s := p.Registry.Options().Budget.Open(p.Trust.Address(r)), SessionOf(r)
	apart := wire.Detach(w, r, one.begun(), func(ctx context.Context, w *wire.Detached) {
		defer hold.Close()
		s.Claim().Charge(hold)
		hold.Add(pollWeight) // it is there already
		evictable(hold, w)
		one.nap(w)
		one.serve(ctx, w, hold, never())
	})
	if !apart {
		hold.Close()
		one.serve(r.Context(), w, intake.HoldOf(r), never())
	}
}

// never is a time that no poll lives to see.
func never() time.Time { return time.Now().Add(math.MaxInt64) }
