package gateway

import (
	"errors"
	"fmt"

	"reversehttp/schema"
	"reversehttp/schema/envelope"
)

// misshapen refuses JSON beyond the bounds of [envelope.CheckShape].
func misshapen(content []byte) *problem { return shapeProblem(envelope.CheckShape(content)) }

// shapeProblem makes an error of those bounds a problem; nil for any other error.
func shapeProblem(err error) *problem {
	switch {
	case errors.Is(err, envelope.ErrDepth):
		return tooComplex("Objects and lists are in each other more than %d deep.", envelope.MostDepth)
	case errors.Is(err, envelope.ErrMembers):
		return tooComplex("An object has more than %d members.", envelope.MostMembers)
	}
	return nil
}

func tooComplex(detail string, bound int) *problem {
	return &problem{code: schema.CodeBadJSON, detail: "The content is not as expected: " + fmt.Sprintf(detail, bound)}
}
