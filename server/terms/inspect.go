package terms

import (
	"errors"

	"reversehttp/server/claim"
)

// Inspect is the name of the member that has exchanges recorded.
const Inspect = "inspect"

// inspecting is that member, where exchanges are recorded.
type inspecting bool

// Shown is that of [claim.Term].
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
			return nil, errors.New("inspect is true or false")
		},
		Example: "true",
	})
}
