package terms

import (
	"errors"

	"reversehttp/server/claim"
)

// Inspect is the name of the member that turns on the recording of exchanges.
const Inspect = "inspect"

// inspecting is the value of that member if exchanges are recorded.
type inspecting bool

// Shown implements [claim.Term].
func (i inspecting) Shown() any { return bool(i) }

func init() {
	Add(Member{
		Name: Inspect,
		Read: func(value []byte) (claim.Term, error) {
			switch string(value) {
			case "true":
				return inspecting(true), nil
			case "false":
				return nil, nil
			}
			return nil, errors.New("inspect must be true or false")
		},
		Example: "true",
	})
}
