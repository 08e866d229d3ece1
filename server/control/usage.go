package control

import (
	"maps"
	"net/http"
	"slices"

	"reversehttp/schema"
	"reversehttp/server/budget"
	"reversehttp/server/quota"
)

// mostLabels bounds the labels in an answer.
const mostLabels = 100

// Usage answers GET /usage with the usage of the account whose key is shown, or of the address without one.
func (c *Claims) Usage(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	holder, p := c.Admission.HolderOf(r)
	if p != nil {
		p.Write(w, r)
		return
	}
	m := quota.Maker{Account: holder.Name}
	if holder.Name == "" {
		m.Address = budget.Subscriber(c.Admission.From(r))
	}
	uses, labels := c.Quotas.Usage(m, mostLabels)
	out := schema.Usage{Account: holder.Name, Quotas: usesOf(uses), Labels: []schema.LabelUsage{}}
	for _, label := range slices.Sorted(maps.Keys(labels)) {
		out.Labels = append(out.Labels, schema.LabelUsage{Label: label, Quotas: usesOf(labels[label])})
	}
	writeJSON(w, http.StatusOK, out)
}

func usesOf(uses []quota.Use) []schema.QuotaUse {
	all := make([]schema.QuotaUse, 0, len(uses))
	for _, u := range uses {
		all = append(all, schema.QuotaUse{Name: u.Kind.String(), Used: int(u.Used), Limit: int(u.Limit), ResetsMs: int(u.Resets.Milliseconds()), Near: u.Near})
	}
	return all
}
