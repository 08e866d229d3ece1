package gateway

import (
	"errors"
	"fmt"

	"reversehttp/schema"
	"reversehttp/schema/envelope"
	"reversehttp/server/problem"
)

// misshapen refuses JSON beyond the bounds of [envelope.CheckShape].
func misshapen(content []byte) *problem.Problem { return shapeProblem(envelope.CheckShape(content)) }

// shapeProblem makes an error of those bounds a problem; nil for any other error.
func shapeProblem(err error) *problem.Problem {
	switch {
	case errors.Is(err, envelope.ErrDepth):
		return tooComplex("Objects and lists are in each other more than %d deep.", envelope.MostDepth)
	case errors.Is(err, envelope.ErrMembers):
		return tooComplex("An object has more than %d members.", envelope.MostMembers)
	}
	return nil
}

func tooComplex(detail string, bound int) *problem.Problem {
	return &problem.Problem{Code: schema.CodeBadJSON, Detail: "The content is not as expected: " + fmt.Sprintf(detail, bound)}
}
