package intake

import (
	"context"
	"net/http"
	"time"

	"reversehttp/schema"
	"reversehttp/server/budget"
	"reversehttp/server/claim"
	"reversehttp/server/problem"
	"reversehttp/server/wire"
)

// requestWeight is what a request costs in memory, without its fields and content: what
// net/http and the core have for it, and the buffers for what is copied.
const requestWeight = 8 << 10

// WeightOf returns what r costs in memory: its fields, however short the references of HTTP/2
// were by which they came, and of HTTP/2 what its content may fill before anybody reads.
func WeightOf(r *http.Request, fields, bytes int) int {
	return requestWeight + fields*claim.FieldWeight + bytes + len(r.RequestURI) + wire.Ahead(r)
}

// NoRoom refuses a request because memory is short, or the address, or the claim, has what
// it may.
func NoRoom() *problem.Problem {
	return &problem.Problem{Code: schema.CodeQueueFull, Detail: "Too much is held for this address or label, or in all. Come back soon."}
}

type holdKey struct{}

// WithHold returns r, of which HoldOf returns hold.
func WithHold(r *http.Request, hold *budget.Hold) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), holdKey{}, hold))
}

// HoldOf returns what a program's request holds. It panics where that is not known by [WithHold].
func HoldOf(r *http.Request) *budget.Hold { return r.Context().Value(holdKey{}).(*budget.Hold) }

// Past is a deadline that is over.
var Past = time.Unix(1, 0)

// Crowded refuses an answer for which there is no room.
func Crowded() *problem.Problem {
	return &problem.Problem{Code: schema.CodeQueueFull, Unread: true, Detail: "Too much is on its way to visitors. Post again soon."}
}
