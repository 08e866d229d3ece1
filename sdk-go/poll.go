package reversehttp

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"reversehttp/schema"
)

// The loop that polls. It runs in the goroutine of Serve, one poll at a time, and it alone claims again.
//
// A link stands in for polls where it may and works (ways.go). A poll asks for a stream where the gateway has them and
// nothing keeps them back, and for a batch otherwise. Its cursor
// names what was begun, never what only arrived, so a stop at any moment leaves the rest to other sessions. After a
// failure the poll for a batch asks for an answer at once (wait=0), because an open connection proves nothing; the first
// byte of a stream proves as much.

const (
	// How much longer than the gateway waits nothing may come, and how long no more of what comes: only a dead connection is
	// noticed.
	pollSlack = 10 * time.Second
	// A gateway or a proxy that answers 204 sooner than this did not wait; do not ask in a tight loop.
	soon = time.Second
)

// poller brings a session its requests.
type poller struct {
	session *Session

	mu  sync.Mutex // guards what follows
	way Transport  // by which requests come, as was logged; empty in an outage
}

// run polls until the session is closed or cannot go on, and says why.
func (p *poller) run() error {
	// A gateway that says that the session is over is there: what an outage made of the one backoff is no reason to be
	// slow with the other.
	var b, sessions backoff
	w := newWays(p.session.opts.Transport)
	at, proven := p.session.current(), true
	for {
		var useful bool
		var err error
		way := w.next(at, p.session.gateway)
		switch way {
		case TransportLink:
			useful, err = p.link(at, w.patience(way, p.session.gateway))
		case TransportFramed:
			useful, err = p.listen(at, acceptFramed, w.patience(way, p.session.gateway))
		case TransportStream:
			useful, err = p.listen(at, acceptStream, w.patience(way, p.session.gateway))
		default:
			useful, err = p.batch(at, proven)
		}
		if p.session.polls.Err() != nil {
			return ErrClosed
		}
		if at.ctx.Err() != nil && err != nil {
			err = context.Cause(at.ctx)
		}
		if useful {
			b.reset()
			sessions.reset()
		}
		p.hears(err)
		if w.note(way, useful, err) {
			p.session.log.Info("transport kept back", "label", at.Label, "transport", way, "error", err)
			proven = proven && way == TransportLink && err != errLinkSilent
			continue
		}
		if err == nil {
			p.session.online()
			proven = true
			if !useful && !pause(p.session.polls, b.next(0)) {
				return ErrClosed
			}
			continue
		}
		proven = false
		v := judge(err)
		if way == TransportLink && !told(err) {
			v = again
		}
		if v == final {
			return err
		}
		p.session.log.Warn("poll failed", "label", at.Label, "error", err)
		p.session.exchanges.loseStreams(at, err)
		p.session.standing.set(Reconnecting)
		p.comes(at, "")
		if v == again {
			if !pause(p.session.polls, b.next(asked(err))) {
				return ErrClosed
			}
			continue
		}
		if !pause(p.session.polls, sessions.next(asked(err))) {
			return ErrClosed
		}
		if err := p.claimAgain(&sessions); err != nil {
			return err
		}
		at, proven = p.session.current(), true
		w.renew()
		b.reset()
	}
}

// claimAgain claims until it succeeds, the session is closed, or trying is of no use.
func (p *poller) claimAgain(b *backoff) error {
	for {
		err := p.session.claim(p.session.polls)
		if p.session.polls.Err() != nil {
			return ErrClosed
		}
		if err == nil {
			p.session.log.Info("claimed again", "label", p.session.current().Label)
			p.session.online()
			return nil
		}
		var refused *Error
		if errors.As(err, &refused) && refusedForGood(refused) {
			return err
		}
		p.session.log.Warn("claiming again failed", "label", p.session.opts.Label, "error", err)
		if !pause(p.session.polls, b.next(asked(err))) {
			return ErrClosed
		}
	}
}

// batch asks for a batch, at once or when there is something, and begins it. It reports useful if it brought news or the
// gateway waited as long as it was asked to: it may be asked again at once.
func (p *poller) batch(at *claimed, patient bool) (useful bool, err error) {
	wait := 0
	if patient {
		wait = at.Limits.WaitSeconds
		p.comes(at, TransportPoll)
	}
	since := time.Now()
	content, err := p.ask(at.ctx, at, wait)
	if err != nil {
		return false, err
	}
	news, err := p.beginAll(at, content)
	return err == nil && (news || wait == 0 || time.Since(since) >= soon), err
}

// ask asks for what comes after the cursor, as a batch. There is no content if nothing came.
func (p *poller) ask(ctx context.Context, at *claimed, wait int) ([]byte, error) {
	return p.session.gateway.send(ctx, call{
		method: "GET", url: at.Requests, bearer: at.Token, cursor: at.cursor.get(),
		prefer: waitFor(wait), within: time.Duration(wait)*time.Second + pollSlack, silence: pollSlack,
	})
}

// beginAll begins a batch. It reports whether that brought news.
func (p *poller) beginAll(at *claimed, content []byte) (news bool, err error) {
	b, err := newBatch(content)
	if err != nil {
		return false, err
	}
	p.session.online() // before its handlers begin
	return p.begin(at, b), nil
}

// hears notes why a poll failed. After a silence idle connections may be dead too.
func (p *poller) hears(err error) {
	if err == errNoAnswer || err == errSilent || err == errLinkSilent || errors.Is(err, errLinkBroke) {
		p.session.silence.begin()
		p.session.gateway.client.CloseIdleConnections()
	}
}

// begin starts what a poll brings, and moves the cursor. When the session is over, or drains, it does neither. It reports
// whether there is news: what came before, as from a cache that replays its answer, is none, nor is a cursor alone.
func (p *poller) begin(at *claimed, b batch) (news bool) {
	if at.ctx.Err() != nil {
		return false
	}
	for _, m := range b.messages {
		switch m.Type {
		case schema.TypeRequest:
			fresh, known := p.session.exchanges.begin(p.session.life, at, &m.Request)
			if fresh != nil {
				news = true
				p.session.runner.start(fresh, m)
			}
			if known != nil {
				p.session.running.Go(func() { p.session.poster.post(known) })
			}
		case schema.TypeCancel:
			news = p.session.exchanges.cancel(m.ID, m.Reason) || news
		}
	}
	if b.cursor != "" {
		at.cursor.moveTo(b.cursor)
	}
	return news
}

// What a failure of a poll or of a post means.
const (
	again verdict = iota // the same again, later
	over                 // the session is over: claim again
	final                // the claim is not ours, or the request will never be taken
)

type verdict int

func judge(err error) verdict {
	var refused *Error
	if !errors.As(err, &refused) {
		return again
	}
	switch {
	case refused.Code == schema.CodeDraining:
		return over
	case refused.Code == schema.CodeClaimDeleted:
		return final
	case refused.Status == http.StatusNotFound, refused.Status == http.StatusConflict,
		refused.Status == http.StatusGone, refused.Code == schema.CodeBadCursor:
		return over
	case refusedForGood(refused):
		return final
	}
	return again
}

// refusedForGood reports whether trying again is of no use. A refusal without a code of the protocol comes from
// something in between and passes, unless it is about the size; so does one of a request that was malformed when it
// came: it was whole when it left.
func refusedForGood(e *Error) bool {
	if e.Status == http.StatusRequestEntityTooLarge {
		return true
	}
	passes := e.Status == http.StatusRequestTimeout || e.Status == http.StatusTooManyRequests || e.Code == schema.CodeBadRequest
	return e.Status >= 400 && e.Status <= 499 && e.Code != codeUnexpected && !passes
}

// asked returns how long the gateway asks to wait.
func asked(err error) time.Duration {
	var refused *Error
	if errors.As(err, &refused) {
		return refused.RetryAfter
	}
	return 0
}
