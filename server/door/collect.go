package door

import (
	"context"
	"errors"

	"reversehttp/schema"
	"reversehttp/server/claim"
	"reversehttp/server/intake"
	"reversehttp/server/problem"
)

// Collect reads the content of a request that a session was given, to its end and up to
// limit bytes, for a program that takes content only whole. It counts in what the exchange
// holds, until free is called.
//
// An error says that the exchange has ended: the content broke off, came too slowly, is
// beyond the limit, which tooLarge tells the visitor, or finds no room; or ctx, which is the
// program's, ended. No program has had the request then.
func (l *Relay) Collect(ctx context.Context, s *claim.Session, x *claim.Exchange, limit int, tooLarge string) (content *claim.Content, free func(), err error) {
	defer s.Work(ctx)()
	defer context.AfterFunc(ctx, func() { x.Reject(claim.ErrSessionLost) })()
	content, free, err = s.Delivery(x.ID()).Collect(limit)
	switch {
	case errors.Is(err, claim.ErrTooLong):
		err = &problem.Problem{Code: schema.CodeContentTooLarge, Detail: tooLarge}
		x.Reject(err)
	case errors.Is(err, claim.ErrNoRoom):
		err = intake.Crowded()
		x.Reject(err)
	}
	return content, free, err
}
