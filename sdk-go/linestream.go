package reversehttp

import (
	"context"
	"net/http"
	"time"
)

// sendLine sends the stream on its line. It reports that the stream is untouched if the line was lost before the beginning
// was sent: it may be posted then.
func (t *parts) sendLine() (untouched bool, err error) {
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
	again := repeat{tunnel: l.tunnel, answer: &whole{status: t.first.status, header: t.first.header}}
	defer again.drop()
	if t.upgraded {
		again.drop()
	}
	for {
		content, last, err := t.take()
		again.add(content)
		if err == nil && len(content) > 0 {
			if err = l.write(content); err != nil {
				err = t.broke(err)
			}
		}
		switch {
		case err != nil:
			l.close(true)
			return false, err
		case last && again.answer != nil && !t.keep(&again):
			l.close(true)
			return false, errTunnelLost
		case last:
			l.last(t.trailers)
			return false, nil
		}
	}
}

const (
	// How much content of a response the gateway lets in before it relays some: of an answer that is longer, and has ended,
	// it has the beginning.
	letIn = 256 << 10
	// How many bytes a tunnel keeps of answers that have not ended.
	repeatsMost = 8 << 20
)

// repeat is what to post of an answer that a tunnel loses after its end: all of it, or a failure where the tunnel keeps too
// much already. It is nothing where the gateway surely has the beginning.
type repeat struct {
	tunnel  *tunnel
	answer  *whole // nil stands for nothing
	size    int
	failure bool
}

// add adds content.
func (r *repeat) add(content []byte) {
	r.size += len(content)
	switch {
	case r.answer == nil:
	case r.size > letIn:
		r.drop()
	case r.failure:
	case r.tunnel.holds(len(content)):
		r.answer.content = append(r.answer.content, content...)
	default:
		r.drop()
		r.answer, r.failure = failure(), true
	}
}

// drop lets go of what is kept.
func (r *repeat) drop() {
	if r.answer != nil && !r.failure {
		r.tunnel.holds(-len(r.answer.content))
	}
	r.answer = nil
}

// holds counts bytes that are kept of answers that have not ended. It reports false if they are too many.
func (t *tunnel) holds(n int) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n > 0 && t.repeats+n > repeatsMost {
		return false
	}
	t.repeats += n
	return true
}

// keep keeps the answer, all of which is about to be on its way: the tunnel may break before the gateway has the beginning.
// What is posted then is ignored where it has that. It reports false if the tunnel is over.
func (t *parts) keep(r *repeat) bool {
	if !r.failure {
		r.answer.trailers = t.trailers
	}
	r.answer.measure()
	t.session.exchanges.sends(t.x, r.answer)
	t.kept = t.line.tunnel.keep(t.x, r.answer)
	return t.kept
}

// broke returns why the line takes no more.
func (t *parts) broke(err error) error {
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
