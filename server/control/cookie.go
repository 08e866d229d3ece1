package control

import (
	"reversehttp/schema"
	"reversehttp/server/answer"
	"reversehttp/server/claim"
)

// lostCookie returns the fault of a cookie of a message that is not relayed because it is for another host, or nil. In the path shape,
// where claims have no cookies, it is nil.
func (a *Answers) lostCookie(c *claim.Claim, m *answer.Message) *answer.Fault {
	if m.Type != schema.TypeResponse && m.Type != schema.TypeInterim || a.Public.PathPrefix != "" {
		return nil
	}
	lost := m.LostCookie(a.Public.Host(c.Label()))
	if lost == nil {
		return nil
	}
	if own := a.Domains.Tell(c); own.URL != "" && m.LostCookie(own.Name) == nil { // it may be for a visitor there
		return nil
	}
	return lost
}

// without adds to a result that the message was taken without a cookie; nil changes nothing.
func without(lost *answer.Fault, r schema.Result) schema.Result {
	if lost != nil && (r.Status == schema.ResultAccepted || r.Status == schema.ResultDuplicate) {
		r.Pointer, r.Detail = &lost.Pointer, lost.Detail
	}
	return r
}
