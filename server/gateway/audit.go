package gateway

import (
	"encoding/json"
	"slices"
	"strings"

	"reversehttp/server/audit"
	"reversehttp/server/claim"
	"reversehttp/server/problem"
	"reversehttp/server/terms"
)

// noted writes down what became of a claim.
func (o *Options) noted(n claim.Notice) {
	e := audit.Entry{Label: n.Claim.Label(), Address: audit.Address(n.By), Account: terms.AccountOf(n.Claim)}
	switch {
	case n.Why == claim.ErrClaimDeleted:
		e.Event = audit.ClaimReleased
	case n.Why != nil:
		e.Event, e.Reason = audit.ClaimEnded, string(problem.CodeOf(n.Why))
	case n.Made:
		e.Event, e.Members = audit.ClaimMade, n.Changed
	default:
		e.Event, e.Members = audit.ClaimChanged, n.Changed
	}
	o.Audit.Note(e)
	if slices.Contains(n.Changed, policy) {
		o.Audit.Note(audit.Entry{Event: audit.PolicySet, Label: e.Label, Address: e.Address, Account: e.Account, Policy: kindsOf(n.Terms.Others[policy])})
	}
}

// policy is the member that has what the gateway enforces for a claim.
const policy = "policy"

// mostNames bounds the names that are written down of one kind of policy.
const mostNames = 64

// kindsOf returns the kinds of a policy as it may be told, and the names that each has. Nothing else of it is written down.
func kindsOf(shown any) map[string][]string {
	all := map[string][]string{}
	text, err := json.Marshal(shown)
	if err != nil {
		return all
	}
	var kinds map[string]json.RawMessage
	_ = json.Unmarshal(text, &kinds) // null, where the policy ended
	for kind, value := range kinds {
		var named []struct{ Name, User string }
		var preset struct{ Preset string }
		names := []string{}
		if json.Unmarshal(value, &named) == nil {
			for _, one := range named[:min(len(named), mostNames)] {
				if name := one.Name + one.User; name != "" {
					names = append(names, name)
				}
			}
		} else if json.Unmarshal(value, &preset) == nil && preset.Preset != "" {
			names = append(names, strings.ToLower(preset.Preset))
		}
		all[kind] = names
	}
	return all
}
