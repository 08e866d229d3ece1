package gateway

import (
	"context"
	"io"

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
func (g *Gateway) Collect(ctx context.Context, s *claim.Session, x *claim.Exchange, limit int, tooLarge string) (content []byte, free func(), err error) {
	asked, err := s.Gather(x.ID())
	if err != nil {
		return nil, nil, err
	}
	defer s.Work()()
	in, hold := asked.Stream.(incoming), x.Hold()
	refuse := func(p *problem.Problem) ([]byte, func(), error) {
		x.Reject(p)
		return nil, nil, p
	}
	if in.length() > int64(limit) {
		return refuse(&problem.Problem{Code: schema.CodeContentTooLarge, Detail: tooLarge})
	}
	defer context.AfterFunc(ctx, func() { x.Reject(claim.ErrSessionLost) })()
	for {
		if len(content) == cap(content) {
			size := min(max(2*cap(content), intake.FirstBuffer), limit+1) // one more, to see the end
			if !hold.Grow(size) {
				hold.Shrink(cap(content))
				return refuse(intake.Crowded())
			}
			held := cap(content)
			content = append(make([]byte, 0, size), content...)
			hold.Shrink(held)
		}
		n, err := in.read(content[len(content):cap(content)])
		content = content[:len(content)+n]
		switch {
		case len(content) > limit:
			hold.Shrink(cap(content))
			return refuse(&problem.Problem{Code: schema.CodeContentTooLarge, Detail: tooLarge})
		case err == io.EOF && s.Gathered(x.ID()):
			return content, func() { hold.Shrink(cap(content)) }, nil
		case err != nil:
			hold.Shrink(cap(content))
			return nil, nil, err
		}
	}
}
