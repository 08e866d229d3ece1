package reversehttp

import (
	"context"
	"errors"
	"net/http"
	"runtime"
	"slices"
	"sync"

	"reversehttp/schema"
	"reversehttp/schema/envelope"
)

// Answers are posted by the goroutines of their handlers. At most mostPosts of them post at a time;
// others leave their answers to the first that returns, which takes all that wait. So a single
// answer is sent at once, and many share a request.
//
// Large answers, and beginnings of streams with much content, wait in a separate list and do not
// delay small ones: one post is always left for small answers. While large ones wait, one post is
// for them.

// With latency every post in flight shortens the wait of the next answer. Without it more than a
// few only make batches smaller (BenchmarkVisits: no difference from 1 to 4, half the speed with
// 8).
const mostPosts = 4

const (
	// The size in bytes from which a message counts as large.
	largeMessage = 16 << 10
	// The most bytes in one post, unless a single message is longer: a small message waits for no
	// more than this on the same line.
	postMost = 256 << 10
)

// outbox holds answers that wait to be posted. The zero value is ready for use.
type outbox struct {
	mu           sync.Mutex // guards what follows
	small, large []*exchange
	posting      int // posts that are under way
	heavy        int // those with large answers
}

// poster posts the answers of a session.
type poster struct {
	session *Session
	outbox  outbox
}

// give delivers the answer of x once the handler has returned.
func (p *poster) give(x *exchange) {
	p.session.exchanges.answering(x, nil)
	p.post(x)
}

// post delivers the answer of x to the gateway: on the link, or by a post of this goroutine or
// another one of the session.
func (p *poster) post(x *exchange) {
	x.interims.wait()
	if l := p.session.link.Load(); l != nil && l.give(x, false) {
		return
	}
	p.postAll([]*exchange{x})
}

// postAll is post for several.
func (p *poster) postAll(xs []*exchange) {
	if len(xs) == 0 {
		return
	}
	o := &p.outbox
	at := p.session.current()
	for _, x := range xs {
		x.answer.measure(x.id, at)
	}
	o.mu.Lock()
	for _, x := range xs {
		if x.answer.size > largeMessage {
			o.large = append(o.large, x)
		} else {
			o.small = append(o.small, x)
		}
	}
	if o.posting == mostPosts {
		o.mu.Unlock()
		return
	}
	o.posting++
	o.mu.Unlock()
	for {
		runtime.Gosched() // what other handlers are about to answer goes in the same post
		batch, heavy := o.take(p.session.current().Limits)
		if len(batch) == 0 {
			return
		}
		p.send(batch)
		if heavy {
			o.mu.Lock()
			o.heavy--
			o.mu.Unlock()
		}
	}
}

// take returns the content of the next post, and whether it is large. If it returns nothing, the
// caller must stop posting.
func (o *outbox) take(l schema.Limits) (batch []*exchange, heavy bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case len(o.large) > 0 && (o.heavy == 0 || len(o.small) == 0 && o.heavy < mostPosts-1):
		o.heavy++
		return takeBatch(&o.large, l), true
	case len(o.small) > 0:
		return takeBatch(&o.small, l), false
	}
	o.posting--
	return nil, false
}

// takeBatch removes from a list what one post carries.
func takeBatch(list *[]*exchange, l schema.Limits) []*exchange {
	most := min(postMost, l.AnswerBytes)
	n, size := 0, envelope.AnswersOverhead
	for n < len(*list) && (n == 0 || n < l.Batch && size+(*list)[n].answer.size+1 <= most) {
		size += (*list)[n].answer.size + 1
		n++
	}
	batch := slices.Clone((*list)[:n])
	clear((*list)[:n]) // so that what was posted can be freed
	switch rest := (*list)[n:]; {
	case len(rest) > 0:
		*list = rest
	case cap(*list) > l.Batch:
		*list = nil
	default:
		*list = (*list)[:0]
	}
	return batch
}

// formOf returns the form in which answers go to a session of the gateway.
func formOf(batch []*exchange, at *claimed) envelope.Answers {
	content := 0
	for _, x := range batch {
		content = max(content, len(x.answer.content))
	}
	return at.form(content)
}

// answersMessage is the content of a post.
func answersMessage(batch []*exchange, form envelope.Answers) pieces {
	if form == envelope.FramedAnswers {
		p := make(pieces, 0, 3*len(batch))
		for _, x := range batch {
			p = x.answer.framed(p, x.id)
		}
		return p
	}
	messages := make([][]byte, len(batch))
	for i, x := range batch {
		messages[i] = x.answer.message(x.id, form)
	}
	return pieces{form.Join(messages)}
}

// send posts answers until the gateway has judged all of them or has no more use for them.
func (p *poster) send(batch []*exchange) {
	var b backoff
	for {
		batch = p.wanted(batch)
		if len(batch) == 0 {
			return
		}
		at := p.session.current()
		form := formOf(batch, at)
		c := call{method: "POST", at: at.answers, bearer: at.Token, media: form.Media(), content: answersMessage(batch, form), era: p.session.silence.sentNow()}
		results, err := p.session.gateway.results(p.session.life, c)
		if err == nil && len(results) != len(batch) {
			err = &Error{Code: codeUnexpected, Detail: "results and answers differ in number"}
		}
		if err == nil {
			b.reset()
			batch = p.settle(at, batch, results)
			continue
		}
		if p.session.life.Err() != nil {
			continue
		}
		p.session.log.Warn("answers not taken", "label", at.Label, "answers", len(batch), "error", err)
		if at.unframes(form, err) {
			continue
		}
		var refused *Error
		switch v := judge(err); {
		case v == over && errors.As(err, &refused) && refused.Code != schema.CodeDraining:
			at.lose(err)
			p.session.exchanges.loseStreams(at, err)
			if !p.awaitClaim(at, batch) {
				p.endAll(batch)
				return
			}
		case v == final && errors.As(err, &refused) && about(refused):
			batch = p.refused(batch)
		case v == final:
			p.endAll(batch)
			return
		default:
			pause(p.session.life, b.next(asked(err)))
		}
	}
}

// about reports whether a refusal is about the content of a post.
func about(e *Error) bool {
	return e.Status == http.StatusBadRequest || e.Status == http.StatusRequestEntityTooLarge
}

// wanted ends the exchanges whose visitors no longer wait, and returns the others.
func (p *poster) wanted(batch []*exchange) []*exchange {
	return slices.DeleteFunc(batch, func(x *exchange) bool {
		late := p.session.life.Err() != nil || p.session.exchanges.late(x)
		if late {
			p.session.exchanges.end(x)
		}
		return late
	})
}

// settle handles the results and returns the exchanges that have to be answered again.
func (p *poster) settle(at *claimed, batch []*exchange, results []schema.Result) []*exchange {
	var left []*exchange
	for i, x := range batch {
		if p.judge(at, x, results[i]) {
			left = append(left, x)
		}
	}
	return left
}

// judge handles a result and reports whether the exchange has to be answered again.
func (p *poster) judge(at *claimed, x *exchange, r schema.Result) (again bool) {
	switch r.Status {
	case schema.ResultInvalid:
		p.session.log.Error("answer invalid", x.logged(), "pointer", pointer(r), "detail", r.Detail)
		return p.replace(x)
	case schema.ResultUnknown:
		return p.session.exchanges.unknown(x, at)
	case schema.ResultAccepted, schema.ResultDuplicate:
		p.session.partly(x, r)
		if x.replaced || !p.session.exchanges.streaming(x, at) {
			p.session.exchanges.end(x)
		}
	default:
		p.session.exchanges.end(x)
	}
	return false
}

// partly logs what the gateway left out of an answer that it accepted.
func (s *Session) partly(x *exchange, r schema.Result) {
	if r.Detail != "" {
		s.log.Warn("answer not relayed whole", x.logged(), "pointer", pointer(r), "detail", r.Detail)
	}
}

func pointer(r schema.Result) string {
	if r.Pointer == nil {
		return ""
	}
	return *r.Pointer
}

// refused splits a batch that the gateway refuses as a whole, so that one bad answer does not spoil
// the others, and replaces a single answer that is refused. It returns what is left to post.
func (p *poster) refused(batch []*exchange) []*exchange {
	if len(batch) > 1 {
		for _, x := range batch {
			p.send([]*exchange{x})
		}
		return nil
	}
	if p.replace(batch[0]) {
		return batch
	}
	return nil
}

// replace replaces a refused answer by a 500. If that was done before, it ends x and reports false.
func (p *poster) replace(x *exchange) bool {
	if x.replaced {
		p.session.exchanges.end(x)
		return false
	}
	x.answer, x.replaced = failure(), true
	return true
}

func (p *poster) endAll(batch []*exchange) {
	for _, x := range batch {
		p.session.exchanges.end(x)
	}
}

// awaitClaim waits until another session has replaced at. It reports false if none of the answers
// is of use by then, or if the draining session does not claim again.
func (p *poster) awaitClaim(at *claimed, batch []*exchange) bool {
	ctx, cancel := context.WithDeadline(p.session.polls, p.session.exchanges.latest(batch))
	defer cancel()
	select {
	case <-at.replaced:
		return true
	case <-ctx.Done():
		return false
	}
}
