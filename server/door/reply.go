package door

import (
	"net/http"

	"reversehttp/schema"
	"reversehttp/schema/envelope"
	"reversehttp/server/answer"
	"reversehttp/server/claim"
	"reversehttp/server/intake"
)

// What doors need whose programs send their answers in requests of their own.

// ReadContent reads the whole content of a program's request, up to limit bytes, in
// the time that its size allows. Its error is for [Refuse].
func (l *Relay) ReadContent(w http.ResponseWriter, r *http.Request, limit int) ([]byte, error) {
	return l.Pace.ReadOf(w, r, limit)
}

// ReadAnswer is ReadContent for an answer to an exchange of c. It counts for c until done
// is called.
func (l *Relay) ReadAnswer(w http.ResponseWriter, r *http.Request, c *claim.Claim) (content []byte, done func(), err error) {
	hold := intake.HoldOf(r)
	c.Charge(hold)
	if content, err = l.Pace.ReadOf(w, r, l.Bounds.AnswerBytes); err != nil {
		return nil, nil, err
	}
	if !hold.Grow(len(content)) { // what is decoded of it
		return nil, nil, intake.Crowded()
	}
	return content, func() { hold.Shrink(len(content) + cap(content)) }, nil
}

// HeadBytes is the most that a head of a request may have, which is that of a
// response too.
func (l *Relay) HeadBytes() int { return l.Bounds.FieldBytes + l.TargetBytes }

// AnswerWhole answers an exchange that a session holds with a whole response. It does
// not wait for the visitor. A response that is none ends the exchange as an abort
// does, and its fault is the error.
func (l *Relay) AnswerWhole(s *claim.Session, x *claim.Exchange, status int, fields []schema.Field, content []byte) error {
	m := &answer.Message{Answer: &envelope.Answer{Type: schema.TypeResponse, Status: status, Headers: fields, Content: content}}
	_, err := l.give(s, x, m, m.Bounded(l.Bounds.Fields, l.Bounds.FieldBytes))
	return err
}
