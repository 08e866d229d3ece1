package problem

import (
	"errors"
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"reversehttp/schema"
	"reversehttp/schema/envelope"
)

// Misshapen returns the problem of JSON beyond the bounds of [envelope.CheckShape], or nil.
func Misshapen(content []byte) *Problem { return OfShape(envelope.CheckShape(content)) }

// OfShape returns the problem for an error of [envelope.CheckShape], or nil for any other error.
func OfShape(err error) *Problem {
	switch {
	case errors.Is(err, envelope.ErrDepth):
		return tooComplex("Objects and lists are in each other more than %d deep.", envelope.MostDepth)
	case errors.Is(err, envelope.ErrMembers):
		return tooComplex("An object has more than %d members.", envelope.MostMembers)
	}
	return nil
}

func tooComplex(detail string, bound int) *Problem {
	return &Problem{Code: schema.CodeBadJSON, Detail: "The content is not as expected: " + fmt.Sprintf(detail, bound)}
}

// BadJSON returns the problem for an error of decoding JSON, with where it is wrong and why.
func BadJSON(err error) *Problem {
	at, why := ofJSON(err)
	return &Problem{Code: schema.CodeBadJSON, Pointer: at, Detail: "The content is not as expected: " + why + "."}
}

// ofJSON returns where a decoding error is, and why.
func ofJSON(err error) (pointer, detail string) {
	if f, ok := errors.AsType[*envelope.Fault](err); ok {
		at := jsontext.Pointer(f.Pointer)
		if f.Err == envelope.ErrTwice {
			return Around(at), "the member " + Repeated(at.LastToken()) + " is there twice"
		}
		return Around(at), f.Err.Error()
	}
	if e, ok := errors.AsType[*json.SemanticError](err); ok {
		return Around(e.JSONPointer), "the value has the wrong type"
	}
	e, ok := errors.AsType[*jsontext.SyntacticError](err)
	switch {
	case !ok:
		return "", "the message is not a JSON object"
	case errors.Is(e.Err, jsontext.ErrDuplicateName):
		return Around(e.JSONPointer), "the member " + Repeated(e.JSONPointer.LastToken()) + " is there twice"
	}
	return Around(e.JSONPointer), "the JSON is malformed"
}

// Around returns a pointer, or the nearest one around it that is not too long.
func Around(p jsontext.Pointer) string {
	for len(p) > mostPointer {
		p = p.Parent()
	}
	return string(p)
}

// mostPointer bounds a pointer in a problem, in bytes.
const mostPointer = 256
