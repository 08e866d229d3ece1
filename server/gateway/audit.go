package gateway

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"reversehttp/server/admission"
	"reversehttp/server/audit"
	"reversehttp/server/claim"
	"reversehttp/server/problem"
	"reversehttp/server/terms"
)

// notary writes changes of claims to the audit log.
type notary struct {
	*Options
	withdrawn *admission.Withdrawn
}

// noted logs a change of a claim. It ends a claim whose label was taken down while the claim was
// made.
func (o notary) noted(n claim.Notice) {
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
	if n.Made && o.withdrawn.Has(e.Label) {
		_ = claim.TakeDown(n.Claim)
	}
	if slices.Contains(n.Changed, terms.Policy) {
		o.Audit.Note(audit.Entry{Event: audit.PolicySet, Label: e.Label, Address: e.Address, Account: e.Account, Policy: kindsOf(n.Terms.Others[terms.Policy])})
	}
}

// withoutWithdrawn returns the claims to restore. Claims of labels that were taken down are left
// out, and their records are deleted from disk.
func withoutWithdrawn(o *Options, withdrawn *admission.Withdrawn) (kept []claim.Kept) {
	for _, k := range o.Kept {
		if !withdrawn.Has(k.Label) {
			kept = append(kept, k)
			continue
		}
		if o.Records == nil {
			continue
		}
		ctx, cancel := context.WithTimeout(context.Background(), recordsTime)
		if err := o.Records.Delete(ctx, k.Label, k.Revision); err != nil {
			o.Log.Warn("cannot delete the claim of a label that was taken down", "label", k.Label, "error", err)
		}
		cancel()
	}
	return kept
}

// recordsTime bounds how long the start waits for a record to be deleted.
const recordsTime = 5 * time.Second

// mostNames bounds the names that are logged for one kind of policy.
const mostNames = 64

// kindsOf returns the kinds of a policy, in the form that may be shown, and the names in each.
// Nothing else of a policy is logged.
func kindsOf(shown any) map[string][]string {
	all := map[string][]string{}
	text, err := json.Marshal(shown)
	if err != nil {
		return all
	}
	var kinds map[string]json.RawMessage
	_ = json.Unmarshal(text, &kinds) // null if the policy ended
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
