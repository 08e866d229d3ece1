package gateway

import (
	"reversehttp/schema"
	"reversehttp/server/admission"
	"reversehttp/server/claim"
	"reversehttp/server/domain"
	"reversehttp/server/policy"
	"reversehttp/server/problem"
	"reversehttp/server/publicurl"
	"reversehttp/server/recording"
	"reversehttp/server/terms"
)

// newPolicies returns the policies of a gateway's claims. On a local gateway all visitors have one
// address, so wrong passwords are not counted, like wrong tokens.
func newPolicies(g *Gateway) *policy.Policies {
	p := &policy.Policies{Public: g.public, Trust: g.trust}
	if !g.local {
		p.Guesses = admission.NewGuesses()
	}
	return p
}

// termed applies the terms of a claim: it enforces its policy and records its exchanges.
type termed struct {
	policies *policy.Policies
	recorder *recording.Recorder
	domains  *domain.Domains
	metrics  *metrics
}

// tap is the Tap of [claim.Options].
func (t termed) tap(c *claim.Claim, terms claim.Terms) claim.Tap {
	t.policies.Keep(c, terms)
	t.domains.Note(c, terms)
	return t.recorder.Tap(c, terms)
}

// untap releases what termed holds for a claim that has ended.
func (t termed) untap(c *claim.Claim) {
	t.policies.End(c)
	t.domains.Forget(c)
	t.recorder.End(c)
}

// fits returns the Fits of [claim.Options].
func (t termed) fits(u *publicurl.Template) func(claim.Terms) error {
	return func(given claim.Terms) error {
		if name := terms.DomainOf(given); name != "" && t.domains.Own(name) {
			return &problem.Problem{Code: schema.CodeBadMember, Pointer: "/" + terms.Domain, Detail: "The gateway is at this domain, or at one below or above it. Use a domain of your own."}
		}
		return policy.Fits(given, u.PathPrefix == "")
	}
}

// refused records and counts a request that the policy of its claim refused.
func (t termed) refused(c *claim.Claim, r *claim.Request, content []byte, why *problem.Problem) {
	t.metrics.refused.WithLabelValues(string(why.Code)).Inc()
	t.recorder.Refused(c, r, content, why.Code)
}
