package control

import (
	"context"
	"errors"
	"net/http"
	"os"

	"reversehttp/server/budget"
	"reversehttp/server/wire"
)

// peer is the other end of the connection of a poll, as far as its end tells of the program. One goroutine at a time uses it.
type peer struct {
	direct  bool            // it is the program itself
	request *http.Request   // nil once the poll left net/http
	apart   context.Context // ends when the peer of a poll that left net/http closes the connection; nil before
	broke   bool            // the connection took nothing more, and not because a deadline passed
}

// peerOf returns the peer of a poll.
func (p *Polls) peerOf(r *http.Request) *peer { return &peer{direct: p.Trust.Direct(r), request: r} }

// at notes the context that serves the poll from then on: that of its request, or the one after it left net/http.
func (p *peer) at(ctx context.Context) {
	if p.request != nil && ctx != p.request.Context() {
		p.apart, p.request = ctx, nil
	}
}

// untaken notes why something was not written to the peer. In HTTP/2 that may be the end of the stream alone.
func (p *peer) untaken(err error) {
	p.broke = (p.request == nil || p.request.ProtoMajor == 1) && !errors.Is(err, os.ErrDeadlineExceeded) && !errors.Is(err, budget.ErrTooSlow)
}

// hungUp reports whether the program closed the connection, see [claim.Flow].
func (p *peer) hungUp() bool {
	switch {
	case !p.direct:
		return false
	case p.broke:
		return true
	case p.apart != nil:
		return p.apart.Err() != nil
	}
	return wire.Left(p.request)
}
