package door

import (
	"context"
	"errors"

	"reversehttp/schema"
	"reversehttp/server/claim"
	"reversehttp/server/intake"
	"reversehttp/server/problem"
)

// Collect reads the content of a request that a session has, up to limit bytes, for a program that accepts
// only whole content. The content counts in the hold of the exchange until free is called.
//
// If Collect fails, the exchange has ended and no program has received the request: the content broke off,
// came too slowly, exceeded the limit, which the visitor reads in tooLarge, or found no room; or the
// program's ctx ended.
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
