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

// requestWeight is the memory of a request without its fields and content: what net/http and the
// core allocate for it, and buffers for copying.
const requestWeight = 8 << 10

// WeightOf returns the memory that r takes: its fields, even if HTTP/2 sent them as short
// references, and for HTTP/2 the content that may arrive before anybody reads it.
func WeightOf(r *http.Request, fields, bytes int) int {
	return requestWeight + fields*claim.FieldWeight + bytes + len(r.RequestURI) + wire.Ahead(r)
}

// NoRoom returns the problem of a request for which memory is short, or whose address or claim has
// used up its share.
func NoRoom() *problem.Problem {
	return &problem.Problem{Code: schema.CodeQueueFull, Detail: "Too much is held for this address or label, or in all. Come back soon."}
}

type holdKey struct{}

// WithHold returns a copy of r for which HoldOf returns hold.
func WithHold(r *http.Request, hold *budget.Hold) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), holdKey{}, hold))
}

// HoldOf returns the hold of a program's request. It panics if [WithHold] did not set one.
func HoldOf(r *http.Request) *budget.Hold { return r.Context().Value(holdKey{}).(*budget.Hold) }

// Past is a deadline that has passed.
var Past = time.Unix(1, 0)

// Crowded returns the problem of an answer for which there is no room.
func Crowded() *problem.Problem {
	return &problem.Problem{Code: schema.CodeQueueFull, Unread: true, Detail: "Too much is on its way to visitors. Post again soon."}
}
