package reversehttp

import (
	"context"
	"errors"
	"net/http"
	"time"

	"reversehttp/schema"
	"reversehttp/schema/envelope"
)

// The posts of an answer that goes in parts. As JSON a post has one part. In the framed form it has several, each of which the
// gateway takes when it is there: a post that broke is sent again, and what had arrived of it is a duplicate then. So posts may be as
// large as the stream is fast, and still nothing is cut: where they were full and quickly taken the next are twice as large.
//
// A part with a number always has the same content, however posts are divided. Where something between refuses a post as too
// large, it goes in halves, and so do those after it in the same session of the gateway.

const (
	// How much content a post of parts has, at most.
	postedMost = 256 << 10
	// What is a post that was quickly taken.
	quickly = 250 * time.Millisecond
)

// errDivide says that the parts of a post are to go in other posts.
var errDivide = errors.New("reversehttp: the post is to be divided")

// sendParts sends content, and all that follows, part by part.
func (t *parts) sendParts(content []byte, last bool) error {
	t.size = min(streamBuffer, max(t.at.Limits.PartBytes, 1))
	next := 1
	for {
		began := time.Now()
		if err := t.postParts(&next, content, last); err != nil || last {
			return err
		}
		t.grow(len(content), time.Since(began))
		var err error
		if content, last, err = t.take(); err != nil {
			return err
		}
	}
}

// grow has the handler write more before it waits, where so much was sent in such a time.
func (t *parts) grow(sent int, within time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if most := t.size * t.at.partsMost(); t.most > most {
		t.most = max(most, t.size)
	} else if sent >= t.most && within < quickly {
		t.most = min(2*t.most, most)
		poke(t.room) // what was full is not any more
	}
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

// postParts sends content as the parts from next on.
func (t *parts) postParts(next *int, content []byte, last bool) error {
	for {
		n := min(len(content), t.size*t.at.partsMost())
		count := max(1, (n+t.size-1)/t.size)
		ends := last && n == len(content)
		err := t.post(t.ctx, count, func(form envelope.Answers) pieces { return t.partsMessage(form, *next, content[:n], ends) })
		if err == errDivide {
			continue
		}
		if err != nil {
			return err
		}
		*next += count
		if content = content[n:]; len(content) == 0 {
			return nil
		}
	}
}

// partsMessage is the content of a post of parts.
func (t *parts) partsMessage(form envelope.Answers, seq int, content []byte, last bool) (all pieces) {
	for {
		n := min(len(content), t.size)
		end := envelope.Tail{More: !last || n < len(content)}
		if !end.More {
			end.Trailers = pairsOf(t.trailers)
		}
		if form == envelope.FramedAnswers && n > copiedMost {
			all = all.beside(form.Part(t.x.id, seq, nil, end), content[:n])
		} else { // as JSON a post has one
			all = append(all, form.Part(t.x.id, seq, content[:n], end))
		}
		seq++
		if content = content[n:]; len(content) == 0 {
			return all
		}
	}
}

// post posts so many messages of the stream until the gateway has judged them. A repetition does no harm, for parts are counted.
// They go without those of other exchanges: the gateway holds the answer to them back while the visitor is slow.
func (t *parts) post(ctx context.Context, count int, encode func(envelope.Answers) pieces) error {
	s := t.session
	var b backoff
	for {
		form := t.at.form(0)
		c := call{method: "POST", at: t.at.answers, bearer: t.at.Token, media: form.Media(), content: encode(form), era: s.silence.sentNow()}
		results, err := s.gateway.results(ctx, c)
		if err == nil && len(results) != count {
			err = &Error{Code: codeUnexpected, Detail: "results and parts differ in number"}
		}
		if err == nil {
			return t.judged(results)
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		s.log.Warn("part not taken", "id", t.x.id, "error", err)
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

// judged returns what the results of the gateway mean to the stream.
func (t *parts) judged(results []schema.Result) error {
	for _, r := range results {
		switch r.Status {
		case schema.ResultAccepted, schema.ResultDuplicate:
		case schema.ResultInvalid:
			t.session.log.Error("answer invalid", "id", t.x.id, "pointer", pointer(r), "detail", r.Detail)
			return errInvalid
		default:
			return errNotTaken
		}
	}
	return nil
}
