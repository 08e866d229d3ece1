package gateway

import (
	"errors"

	"github.com/go-json-experiment/json/jsontext"

	"reversehttp/schema"
	"reversehttp/schema/envelope"
	"reversehttp/server/problem"
)

// decode returns the messages of a POST, of which there are at most most, each with at most as many fields as it may have.
func decode(body []byte, most, fields int) ([]message, error) {
	answers, err := envelope.DecodeAnswers(body, most, fields)
	if errors.Is(err, envelope.ErrTooMany) {
		return nil, &problem.Problem{Code: schema.CodeBadMember, Pointer: "/messages", Detail: "More messages than limits.batch allows. Send them in several requests."}
	}
	if p := shapeProblem(err); p != nil {
		return nil, p
	}
	if err != nil {
		return nil, badJSON(err)
	}
	messages := make([]message, len(answers))
	for i := range answers {
		m := &messages[i]
		m.Answer = &answers[i]
		if f := m.Fault; f != nil {
			m.fault = &fault{shortened(jsontext.Pointer(f.Pointer)), f.Err.Error()}
		}
	}
	return messages, nil
}
