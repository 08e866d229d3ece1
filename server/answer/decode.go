package answer

import (
	"errors"

	"github.com/go-json-experiment/json/jsontext"

	"reversehttp/schema"
	"reversehttp/schema/envelope"
	"reversehttp/server/problem"
)

// Decode returns the messages of a POST: at most most, with at most fields fields each. Its error
// is a [problem.Problem].
func Decode(body []byte, most, fields int) ([]Message, error) {
	answers, err := envelope.DecodeAnswers(body, most, fields)
	if errors.Is(err, envelope.ErrTooMany) {
		return nil, &problem.Problem{Code: schema.CodeBadMember, Pointer: "/messages", Detail: "More messages than limits.batch allows. Send them in several requests."}
	}
	if p := problem.OfShape(err); p != nil {
		return nil, p
	}
	if err != nil {
		return nil, problem.BadJSON(err)
	}
	messages := make([]Message, len(answers))
	for i := range answers {
		messages[i] = messageOf(&answers[i])
	}
	return messages, nil
}

// DecodeLine decodes a line of the framed form, without the content beside it, into m, replacing
// what m held. Its error is a [problem.Problem].
func (m *Message) DecodeLine(line []byte, fields int) error {
	a := m.Answer
	if a == nil {
		a = new(envelope.Answer)
	}
	err := a.DecodeLine(line, fields)
	*m = messageOf(a)
	if p := problem.OfShape(err); p != nil {
		return p
	}
	if err != nil {
		return problem.BadJSON(err)
	}
	return nil
}

func messageOf(a *envelope.Answer) Message {
	m := Message{Answer: a}
	if f := a.Fault; f != nil {
		m.Refused = &Fault{problem.Around(jsontext.Pointer(f.Pointer)), f.Err.Error()}
	}
	return m
}
