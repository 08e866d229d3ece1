package control

import (
	"context"
	"errors"
	"net/http"
	"os"

	"reversehttp/server/budget"
	"reversehttp/server/wire"
)

// peer is the other end of a poll's connection, whose closing may say that the program is gone. One
// goroutine at a time uses it.
type peer struct {
	direct  bool            // it is the program itself, not a proxy
	request *http.Request   // nil once the poll has left net/http
	apart   context.Context // ends when the peer of a poll that has left net/http closes the connection; nil before
	broke   bool            // a write failed, and not because a deadline passed
	slow    bool            // a write failed because a deadline passed; the gateway then closes the connection
}

// peerOf returns the peer of a poll.
func (p *Polls) peerOf(r *http.Request) *peer { return &peer{direct: p.Trust.Direct(r), request: r} }

// at sets the context that serves the poll from now on: its request's, or another one once it has
// left net/http.
func (p *peer) at(ctx context.Context) {
	if p.request != nil && ctx != p.request.Context() {
		p.apart, p.request = ctx, nil
	}
}

// untaken notes the error of a write to the peer. In HTTP/2 it may mean only the end of the stream.
func (p *peer) untaken(err error) {
	p.slow = errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, budget.ErrTooSlow)
	p.broke = !p.slow && (p.request == nil || p.request.ProtoMajor == 1)
}

// hungUp reports whether the program closed the connection; see [claim.Flow].
func (p *peer) hungUp() bool {
	switch {
	case !p.direct, p.slow:
		return false
	case p.broke:
		return true
	case p.apart != nil:
		return p.apart.Err() != nil
	}
	return wire.Left(p.request)
}
