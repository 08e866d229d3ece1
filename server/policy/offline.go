package policy

import (
	"fmt"
	"net/http"
	"strings"

	"reversehttp/schema"
	"reversehttp/schema/envelope"
	"reversehttp/server/claim"
	"reversehttp/server/field"
)

// Bounds of a canned answer.
const (
	mostCannedFields = 16
	mostCanned       = 8 << 10
)

func checkOffline(ask *schema.Policy, p *Policy) error {
	o := ask.Offline
	if o == nil {
		return nil
	}
	bare := o.Status == 0 && o.Headers == nil && o.Body == ""
	switch {
	case o.Mode != schema.PolicyOfflineWait && o.Mode != schema.PolicyOfflineCanned:
		return fault("offline/mode", "A mode is wait or canned.")
	case o.Mode == schema.PolicyOfflineWait && !bare:
		return fault("offline/mode", "Only a canned answer has a status, headers or a body.")
	case o.Status != 0 && (o.Status < 200 || o.Status > 599):
		return fault("offline/status", "A status is a whole number from 200 to 599.")
	case len(o.Headers) > mostCannedFields:
		return fault("offline/headers", "A canned answer has at most %d fields.", mostCannedFields)
	case len(o.Body) > mostCanned:
		return fault("offline/body", "The body of a canned answer has at most %d bytes.", mostCanned)
	case o.Body != "" && (o.Status == http.StatusNoContent || o.Status == http.StatusResetContent || o.Status == http.StatusNotModified):
		return fault("offline/body", "An answer with this status has no content.")
	}
	for i, f := range o.Headers {
		at := fmt.Sprintf("offline/headers/%d", i)
		if half, why := field.FaultOf(f[0], f[1]); why != "" {
			return fault(at+half, "%s.", why)
		}
		if name := http.CanonicalHeaderKey(f[0]); field.EndsInResponse(name) || name == "Content-Length" || name == "Transfer-Encoding" || name == "Trailer" {
			return fault(at+"/0", "The gateway frames the answer itself.")
		}
	}
	p.Offline = o
	return nil
}

// Absent is the Absent of [visit.Gates]: it returns the canned answer of a claim whose program is absent, or nil.
func (p *Policies) Absent(c *claim.Claim, _ *claim.Request) *claim.Answer {
	_, r := p.rulesOf(c)
	if r == nil || r.of.Offline == nil || r.of.Offline.Mode != schema.PolicyOfflineCanned {
		return nil
	}
	o := r.of.Offline
	a := &claim.Answer{Status: o.Status, Content: []byte(o.Body)}
	if a.Status == 0 {
		a.Status = http.StatusServiceUnavailable
	}
	stored := false
	for _, f := range o.Headers {
		a.Fields = append(a.Fields, claim.Field{Name: f[0], Value: envelope.Bytes(f[1])})
		stored = stored || strings.EqualFold(f[0], "Cache-Control")
	}
	if !stored {
		a.Fields = append(a.Fields, claim.Field{Name: "Cache-Control", Value: "no-store"})
	}
	return a
}
