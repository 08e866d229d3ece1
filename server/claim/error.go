package claim

import (
	"errors"

	"reversehttp/server/budget"
)

// The errors of a visitor's exchange, wrapped in a [*Failure].
var (
	ErrNoClaim        = errors.New("claim: no such claim")
	ErrNoHandler      = errors.New("claim: no session polls")
	ErrQueueFull      = errors.New("claim: too many open exchanges")
	ErrUpgrades       = errors.New("claim: too many connections are upgraded")
	ErrDraining       = errors.New("claim: the gateway is stopping")
	ErrHandlerTimeout = errors.New("claim: no answer in time")
	ErrHandlerFailed  = errors.New("claim: the handler gave up")
	ErrSessionLost    = errors.New("claim: the session was lost")
	ErrTooSlow        = budget.ErrTooSlow
	// ErrVisitorGone means that the exchange was abandoned.
	ErrVisitorGone = errors.New("claim: the visitor left")
)

// The errors of a program's call, besides [ErrNoClaim] and [ErrDraining].
var (
	ErrBadCursor     = errors.New("claim: cursor was never given out")
	ErrSpent         = errors.New("claim: what came after the cursor was received")
	ErrBadLabel      = errors.New("claim: bad label")
	ErrBadToken      = errors.New("claim: bad token")
	ErrWeakToken     = errors.New("claim: token is too short to be chosen")
	ErrLabelTaken    = errors.New("claim: label is taken")
	ErrLabelKept     = errors.New("claim: label was released and is kept for its token")
	ErrLabelReserved = errors.New("claim: label is reserved")
	ErrTooManyClaims = errors.New("claim: too many claims")
	ErrAddressClaims = errors.New("claim: too many claims of one address")
	ErrTooManyOpen   = errors.New("claim: too many sessions")
	ErrNoRoom        = errors.New("claim: no memory is free for that")
	ErrNoExchange    = errors.New("claim: no such exchange")
	ErrTaken         = errors.New("claim: content was asked for already")
	ErrNotAnswering  = errors.New("claim: no answer with more began")
	ErrGap           = errors.New("claim: a part before it is missing")
	ErrNoSession     = errors.New("claim: no such session")
	ErrSessionFenced = errors.New("claim: session is lost")
	ErrClaimDeleted  = errors.New("claim: claim was deleted")
	// ErrTakenDown is the will of the operator, of visitors' exchanges too.
	ErrTakenDown   = errors.New("claim: taken down")
	ErrLeaseEnded  = errors.New("claim: lease has ended")
	ErrUnavailable = errors.New("claim: records are not available")
	// ErrReplaced ends a [Link] or a [Feed] that a newer poll replaced.
	ErrReplaced = errors.New("claim: a newer poll took its place")
)

// Handed says whether a handler received the request of a failed exchange.
type Handed int

const (
	// HandedUnknown means that it was written to a session that never confirmed it.
	HandedUnknown Handed = iota
	// HandedNo means that no handler had it: it is safe to send again.
	HandedNo
	// HandedYes means that a handler had it.
	HandedYes
)

// Failure is why an exchange ended without an answer.
type Failure struct {
	// Err is one of the errors above.
	Err error
	// Handed says whether a handler had the request.
	Handed Handed
	// Answer is the answer that the visitor gets instead of the failure; see [Claim.Begin]. Nil
	// means none.
	Answer *Answer
	// Before is, for [ErrMoved], what another registry has to know of the exchange; its session is empty
	// if none had it. Otherwise nil.
	Before *Note
}

// Error returns the text of Err.
func (f *Failure) Error() string { return f.Err.Error() }

// Unwrap returns Err.
func (f *Failure) Unwrap() error { return f.Err }
