package gateway

import (
	"errors"
	"net/http"

	"reversehttp/schema"
	"reversehttp/server/claim"
)

// What doors need whose programs send their answers in requests of their own.

// ReadContent reads the whole content of a program's request, up to limit bytes, in
// the time that its size allows. Its error is for [Gateway.Refuse].
func (g *Gateway) ReadContent(w http.ResponseWriter, r *http.Request, limit int) ([]byte, error) {
	return g.readContent(w, r, limit)
}

// ReadAnswer is ReadContent for an answer. It counts to the answers that the gateway
// holds until done is called.
func (g *Gateway) ReadAnswer(w http.ResponseWriter, r *http.Request) (content []byte, done func(), err error) {
	size := int(r.ContentLength)
	if size < 0 || size > g.options.AnswerBytes {
		size = g.options.AnswerBytes
	}
	if !g.answers.take(size) {
		return nil, nil, &problem{code: schema.CodeQueueFull, detail: "Too much is on its way to visitors. Post again soon."}
	}
	if content, err = g.readContent(w, r, g.options.AnswerBytes); err != nil {
		g.answers.give(size)
		return nil, nil, err
	}
	return content, func() { g.answers.give(size) }, nil
}

// HeadBytes is the most that a head of a request may have, which is that of a
// response too.
func (g *Gateway) HeadBytes() int { return g.options.FieldBytes + g.options.TargetBytes }

// BoundWrite gives the peer so long to take n bytes of content that are written next.
// It is to be called before whatever is written after a wait.
func BoundWrite(w http.ResponseWriter, n int) { boundWrite(w, n) }

// Leaving prepares w for an answer to r, whose content was not read to its end, and
// gives what is to be called after it.
func Leaving(w http.ResponseWriter, r *http.Request) (left func()) { return leaving(w, r) }

// AnswerWhole answers an exchange that a session holds with a whole response. It does
// not wait for the visitor. A response that is none ends the exchange as an abort
// does, and its fault is the error.
func (g *Gateway) AnswerWhole(s *claim.Session, x *claim.Exchange, status int, fields []schema.Field, content []byte) error {
	m := &message{Type: schema.TypeResponse, Status: status, Headers: fields, Body: (*text)(&content)}
	f := g.oversizeAnswer(m)
	var a *claim.Answer
	if f == nil {
		a, f = m.answer(x.Request())
	}
	if f == nil && status == http.StatusSwitchingProtocols {
		f = &fault{"", "this protocol carries no upgrade"}
	}
	if f != nil {
		_, _ = s.Abort(x.ID())
		g.metrics.judge(schema.ResultInvalid)
		return errors.New(f.detail)
	}
	size := len(a.Content) // the visitor's door may let it go at once
	result, err := s.Answer(x.ID(), a)
	if err == nil && result == claim.Accepted {
		g.answers.add(size) // until the visitor has it
	}
	g.metrics.judge(schema.ResultStatus(result.String()))
	return nil
}
