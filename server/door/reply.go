package door

import (
	"net/http"

	"reversehttp/schema"
	"reversehttp/schema/envelope"
	"reversehttp/server/answer"
	"reversehttp/server/claim"
	"reversehttp/server/intake"
)

// This file is for doors whose programs send their answers in separate requests.

// ReadContent reads the whole content of a program's request, up to limit bytes, at the pace of its
// bounds. Its error is for [Refuse].
func (l *Relay) ReadContent(w http.ResponseWriter, r *http.Request, limit int) ([]byte, error) {
	return l.Pace.ReadOf(w, r, limit)
}

// ReadAnswer is ReadContent for an answer to an exchange of c. The content counts for c until done
// is called.
func (l *Relay) ReadAnswer(w http.ResponseWriter, r *http.Request, c *claim.Claim) (content []byte, done func(), err error) {
	hold := intake.HoldOf(r)
	c.Charge(hold)
	if content, err = l.Pace.ReadOf(w, r, l.Bounds.AnswerBytes); err != nil {
		return nil, nil, err
	}
	if !hold.Grow(len(content)) { // for what is decoded from it
		return nil, nil, intake.Crowded()
	}
	return content, func() { hold.Shrink(len(content) + cap(content)) }, nil
}

// HeadBytes is the longest head of a request or a response in bytes.
func (l *Relay) HeadBytes() int { return l.Bounds.FieldBytes + l.TargetBytes }

// AnswerWhole answers an exchange that a session holds with a whole response. It does not wait for
// the visitor. An invalid response ends the exchange as an abort does, and AnswerWhole returns its
// fault.
func (l *Relay) AnswerWhole(s *claim.Session, x *claim.Exchange, status int, fields []schema.Field, content []byte) error {
	m := &answer.Message{Answer: &envelope.Answer{Type: schema.TypeResponse, Status: status, Headers: fields, Content: content}}
	_, err := l.give(s, x, m, m.Bounded(l.Bounds.Fields, l.Bounds.FieldBytes))
	return err
}
