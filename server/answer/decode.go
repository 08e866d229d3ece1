package answer

import (
	"errors"

	"github.com/go-json-experiment/json/jsontext"

	"reversehttp/schema"
	"reversehttp/schema/envelope"
	"reversehttp/server/problem"
)

// Decode returns the messages of a POST, of which there are at most most, each with at most so many fields. The error is a [problem.Problem].
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
		m := &messages[i]
		m.Answer = &answers[i]
		if f := m.Fault; f != nil {
			m.Refused = &Fault{problem.Around(jsontext.Pointer(f.Pointer)), f.Err.Error()}
		}
	}
	return messages, nil
}
