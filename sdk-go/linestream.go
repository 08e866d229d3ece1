package reversehttp

import (
	"context"
	"net/http"
	"time"
)

// sendLine sends the stream on its line. It reports that the stream is untouched if the line was lost before the beginning
// was sent: it may be posted then.
func (t *stream) sendLine() (untouched bool, err error) {
	l := t.line
	defer context.AfterFunc(t.ctx, l.cut)()
	t.at = t.session.exchanges.claimed(t.x)
	t.x.timer.Stop()
	header := t.first.header.Clone()
	status := t.first.status
	header["Reversehttp-More"] = []string{"?1"}
	if status == http.StatusSwitchingProtocols {
		// HTTP/2 has no such status (RFC 9113, 8.6).
		header["Reversehttp-Status"] = []string{"101"}
		status = http.StatusOK
	}
	if err := l.begin(status, header); err != nil {
		err = t.broke(err)
		return err == errTunnelLost, err
	}
	if t.accepted != nil {
		t.accepted()
	}
	again := &whole{status: t.first.status, header: t.first.header}
	for {
		content, last, err := t.take()
		if again != nil && len(again.content)+len(content) <= letIn && !t.upgraded {
			again.content = append(again.content, content...)
		} else {
			again = nil
		}
		if err == nil && len(content) > 0 {
			if err = l.write(content); err != nil {
				err = t.broke(err)
			}
		}
		if cap(t.taken) > t.most {
			t.taken = nil // what was held before it became a stream is more than one keeps
		}
		switch {
		case err != nil:
			l.close(true)
			return false, err
		case last && again != nil && !t.keep(again):
			l.close(true)
			return false, errTunnelLost
		case last:
			l.last(t.trailers)
			return false, nil
		}
	}
}

// letIn is how much content of a response the gateway lets in before it relays some: of an answer that is longer, and has
// ended, it has the beginning.
const letIn = 256 << 10

// keep keeps the answer, all of which is about to be on its way: the tunnel may break before the gateway has the beginning.
// What is posted then is ignored where it has that. It reports false if the tunnel is over.
func (t *stream) keep(a *whole) bool {
	a.trailers = t.trailers
	a.measure()
	t.session.exchanges.sends(t.x, a)
	t.kept = t.line.tunnel.keep(t.x, a)
	return t.kept
}

// broke returns why the line takes no more.
func (t *stream) broke(err error) error {
	if t.ctx.Err() != nil {
		return context.Cause(t.ctx)
	}
	timer := time.NewTimer(soon)
	defer timer.Stop()
	select {
	case <-t.ctx.Done():
		return context.Cause(t.ctx)
	case <-timer.C:
		return err
	case <-t.line.ended:
	}
	if t.upgraded && t.line.cause == errVisitorGone {
		return errNotTaken // what he sent can still be read
	}
	return t.line.cause
}
