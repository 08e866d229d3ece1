package gateway

import (
	"context"
	"net/http"
	"time"

	"reversehttp/schema"
	"reversehttp/server/claim"
	"reversehttp/server/problem"
	"reversehttp/server/wire"
)

// requestWeight is what a request costs in memory, without its fields and content: what
// net/http and the core have for it, and the buffers for what is copied.
const requestWeight = 8 << 10

// weightOf returns what r costs in memory: its fields, however short the references of HTTP/2
// were by which they came, and of HTTP/2 what its content may fill before anybody reads.
func weightOf(r *http.Request, fields, bytes int) int {
	return requestWeight + fields*claim.FieldWeight + bytes + len(r.RequestURI) + wire.Ahead(r)
}

// noRoom refuses a request because memory is short, or the address, or the claim, has what
// it may.
func noRoom() *problem.Problem {
	return &problem.Problem{Code: schema.CodeQueueFull, Detail: "Too much is held for this address or label, or in all. Come back soon."}
}

type holdKey struct{}

// withHold returns r, of which holdOf returns hold.
func withHold(r *http.Request, hold *claim.Hold) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), holdKey{}, hold))
}

// holdOf returns what a program's request holds.
func holdOf(r *http.Request) *claim.Hold { return r.Context().Value(holdKey{}).(*claim.Hold) }

// past is a deadline that is over.
var past = time.Unix(1, 0)
