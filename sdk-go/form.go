package reversehttp

import (
	"errors"
	"net/http"

	"reversehttp/schema"
	"reversehttp/schema/envelope"
)

// Answers are sent in the framed form if the session supports it. A message with more content than
// limits.partBytes is sent as JSON: in the framed form the gateway would relay it as it arrives, and a broken
// connection would cut the answer.
//
// If an intermediary refuses the form, or changes messages in it, answers are sent as JSON in this session
// from then on. Messages that were already judged are then duplicates.

// form returns the form of a post whose messages have so much content each, at most.
func (at *claimed) form(content int) envelope.Answers {
	if at.Limits.FramedInlineBytes <= 0 || content > at.Limits.PartBytes || at.plain.Load() {
		return envelope.JSONAnswers
	}
	return envelope.FramedAnswers
}

// unframes takes note of a post that failed. It reports true if it is to be posted in the other form.
func (at *claimed) unframes(form envelope.Answers, err error) bool {
	var refused *Error
	if form != envelope.FramedAnswers || !errors.As(err, &refused) {
		return false
	}
	switch {
	case refused.Code == schema.CodeBadJSON, refused.Status == http.StatusUnsupportedMediaType:
	case refused.Code != codeUnexpected:
		return false
	case refused.Status == http.StatusBadRequest, refused.Status == http.StatusForbidden, refused.Status == http.StatusMethodNotAllowed,
		refused.Status == http.StatusNotAcceptable, refused.Status == http.StatusNotImplemented:
	default:
		return false
	}
	at.plain.Store(true)
	return true
}

// reply is an answer, the beginning of one, or an abort, as it is posted. It is encoded when it goes, for each session of the gateway
// may take another form.
type reply struct {
	status  int // 0 for an abort
	fields  envelope.Pairs
	content []byte
	tail    envelope.Tail
	reason  string // of an abort
	size    int    // about how long its message is; set before it waits to be posted
}

// message encodes the reply.
func (r *reply) message(id string, form envelope.Answers) []byte {
	if r.status == 0 {
		return form.Abort(id, r.reason)
	}
	return form.Response(id, r.status, r.fields, r.content, r.tail)
}

// framed appends the reply in the framed form to p.
func (r *reply) framed(p pieces, id string) pieces {
	if len(r.content) <= copiedMost {
		return append(p, r.message(id, envelope.FramedAnswers))
	}
	return p.beside(envelope.FramedAnswers.Response(id, r.status, r.fields, nil, r.tail), r.content)
}

// measure sets the size of the message to a session of the gateway. It reports false if that would not take it.
func (r *reply) measure(id string, at *claimed) bool {
	if at.form(len(r.content)) == envelope.JSONAnswers {
		r.size = len(r.message(id, envelope.JSONAnswers))
		return r.size+envelope.AnswersOverhead <= at.Limits.AnswerBytes
	}
	line := lineOverhead + len(id) + len(r.fields) + len(r.tail.Trailers) + len(r.reason)
	r.size = line + len(r.content)
	return line <= min(envelope.MostLine, at.Limits.AnswerBytes)
}

// lineOverhead is more than the members of a message take, without their values that vary.
const lineOverhead = 160
