package reversehttp

import (
	"context"
	"errors"
	"net/http"
	"time"

	"reversehttp/schema"
	"reversehttp/schema/envelope"
)

// The POSTs of an answer in parts. As JSON a POST has one part. In the framed form it has several, each of
// which the gateway accepts as it arrives: a broken POST is repeated, and the parts that had arrived are then
// duplicates. So POSTs may be as large as the stream is fast, and still nothing is cut: if they were full and
// quickly accepted, the next ones are twice as large.
//
// A part with a number always has the same content, however POSTs are divided. If an intermediary refuses a
// POST as too large, it is halved, and so are all later ones in the same session.

const (
	// How much content a post of parts has, at most.
	postedMost = 128 << 10
	// How many posts are quickly taken before the next are larger: a megabyte of content, more than is between.
	quicks = 16
	// What is a post that was quickly taken.
	quickly = 250 * time.Millisecond
)

// errDivide says that the parts of a post are to go in other posts.
var errDivide = errors.New("reversehttp: the post is to be divided")

// numberer sends what follows the beginning of an answer as parts with numbers.
type numberer struct {
	of   *parts
	size int // of the content of a part, in bytes; that of the last may be less
	next int // the number of the next part
}

// sendParts sends what follows the beginning, part by part.
func (t *parts) sendParts() error {
	n := &numberer{of: t, size: min(streamBuffer, max(t.at.Limits.PartBytes, 1)), next: 1}
	for {
		content, last, err := t.take()
		if err == errLinkBroke {
			if err := n.repost(); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		if n.next == 1 && t.left > longLeast && len(content) >= n.size && !last && t.at.takesLong() { // what comes little by little says in silence that it goes on
			if untouched, err := n.long(&content); !untouched {
				return err
			}
		}
		if err := n.sendAll(content, last); err != nil {
			return err
		}
		if last {
			return n.finish()
		}
	}
}

// sendAll sends content as the next parts: on the link if there is one with room, and otherwise by
// posts.
func (n *numberer) sendAll(content []byte, last bool) error {
	for l := n.way(); l != nil; l = n.way() {
		some := min(len(content), n.size)
		switch err := n.send(l, content[:some], last && some == len(content)); err {
		case nil:
			if content = content[some:]; len(content) == 0 {
				return nil
			}
		case errLinkBroke:
			if err := n.repost(); err != nil {
				return err
			}
		case errNoRoom:
			if err := n.finish(); err != nil {
				return err
			}
			return n.post(content, last)
		default:
			return err
		}
	}
	return n.post(content, last)
}

// post posts content as the next parts.
func (n *numberer) post(content []byte, last bool) error {
	t := n.of
	began, size := time.Now(), len(content)
	for {
		some := min(len(content), n.size*t.at.partsMost())
		count := max(1, (some+n.size-1)/n.size)
		ends := last && some == len(content)
		err := t.post(t.ctx, count, func(form envelope.Answers) pieces { return n.message(form, content[:some], ends) })
		if err == errDivide {
			continue
		}
		if err != nil {
			return err
		}
		n.next += count
		if content = content[some:]; len(content) == 0 {
			t.grow(size, n.size, time.Since(began))
			return nil
		}
	}
}

// message is the content of a post of the next parts.
func (n *numberer) message(form envelope.Answers, content []byte, last bool) (all pieces) {
	for seq := n.next; ; seq++ {
		some := min(len(content), n.size)
		end := envelope.Tail{More: !last || some < len(content)}
		if !end.More {
			end.Trailers = pairsOf(n.of.trailers)
		}
		if form == envelope.FramedAnswers && some > copiedMost {
			all = all.beside(form.Part(n.of.x.id, seq, nil, end), content[:some])
		} else { // as JSON a post has one
			all = append(all, form.Part(n.of.x.id, seq, content[:some], end))
		}
		if content = content[some:]; len(content) == 0 {
			return all
		}
	}
}

// grow has the handler write more before it waits, where so much was sent, as parts of a size, in such a time, and many posts before
// it were full and quick: a visitor who takes nothing seems quick until what is between is full.
func (t *parts) grow(sent, size int, within time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	most := size * t.at.partsMost()
	switch {
	case t.most > most:
		t.most = max(most, size)
	case sent < t.most || within >= quickly:
		t.quick = 0
	case t.quick < quicks:
		t.quick++
	default:
		t.quick, t.most = 0, min(2*t.most, most)
		poke(t.room) // there is room again
	}
}

// takesLong reports whether an answer may go as one long part.
func (at *claimed) takesLong() bool {
	return at.form(0) == envelope.FramedAnswers && at.bound.Load() == 0 && !at.short.Load()
}

// partsMost returns how many parts of streamBuffer one post has at most.
func (at *claimed) partsMost() int {
	if at.form(0) == envelope.JSONAnswers {
		return 1
	}
	most := min(postedMost/streamBuffer, at.Limits.Batch)
	if bound := int(at.bound.Load()); bound > 0 {
		most = min(most, bound)
	}
	return most
}

// post posts so many messages of the stream until the gateway has judged them. A repetition does no harm, for parts are counted.
// They go without those of other exchanges: the gateway holds the answer to them back while the visitor is slow.
func (t *parts) post(ctx context.Context, count int, encode func(envelope.Answers) pieces) error {
	s := t.session
	var b backoff
	for {
		form := t.at.form(0)
		if form == envelope.JSONAnswers && count > 1 {
			return errDivide // as JSON a post has one
		}
		c := call{method: "POST", at: t.at.answers, bearer: t.at.Token, media: form.Media(), content: encode(form), era: s.silence.sentNow()}
		results, err := s.gateway.results(ctx, c)
		if err == nil && len(results) != count {
			err = &Error{Code: codeUnexpected, Detail: "results and parts differ in number"}
		}
		if err == nil {
			return judgeAll(t, results)
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		s.log.Warn("part not taken", t.x.logged(), "error", err)
		var refused *Error
		switch v := judge(err); {
		case t.at.unframes(form, err), count > 1 && t.at.divides(count, err):
			if count > 1 {
				return errDivide
			}
			continue
		case v == over && errors.As(err, &refused) && refused.Code != schema.CodeDraining:
			return errSessionLost
		case v == final && errors.As(err, &refused) && about(refused):
			return errInvalid
		case v == final:
			return err
		}
		if !pause(ctx, b.next(asked(err))) {
			return context.Cause(ctx)
		}
	}
}

// divides takes note of a post of so many parts that failed. It reports true if it was too large.
func (at *claimed) divides(count int, err error) bool {
	var refused *Error
	if !errors.As(err, &refused) || refused.Status != http.StatusRequestEntityTooLarge {
		return false
	}
	if before := at.bound.Load(); before == 0 || before > int64(count/2) {
		at.bound.Store(int64(count / 2))
	}
	return true
}

// judgeAll returns what the results of the gateway mean to the stream.
func judgeAll(t *parts, results []schema.Result) error {
	for _, r := range results {
		if err := t.judge(r); err != nil {
			return err
		}
	}
	return nil
}

// judge returns what a result means to the stream.
func (t *parts) judge(r schema.Result) error {
	switch r.Status {
	case schema.ResultAccepted, schema.ResultDuplicate:
		t.session.partly(t.x, r)
		return nil
	case schema.ResultInvalid:
		t.session.log.Error("answer invalid", t.x.logged(), "pointer", pointer(r), "detail", r.Detail)
		return errInvalid
	}
	return errNotTaken
}
