package control

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"

	"reversehttp/schema"
	"reversehttp/server/budget"
	"reversehttp/server/quota"
	"reversehttp/server/wire"
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
	if c.Others != nil && !wire.IsCarried(r) {
		out.Labels = withOthers(out.Labels, c.Others(r))
	}
	writeJSON(w, http.StatusOK, out)
}

// withOthers adds the labels whose claims are at other nodes, by what those answered.
func withOthers(labels []schema.LabelUsage, others [][]byte) []schema.LabelUsage {
	for _, content := range others {
		var u schema.Usage
		if json.Unmarshal(content, &u) == nil {
			labels = append(labels, u.Labels...)
		}
	}
	slices.SortStableFunc(labels, func(a, b schema.LabelUsage) int { return strings.Compare(a.Label, b.Label) })
	// One that moves may be at two.
	labels = slices.CompactFunc(labels, func(a, b schema.LabelUsage) bool { return a.Label == b.Label })
	return labels[:min(len(labels), mostLabels)]
}

func usesOf(uses []quota.Use) []schema.QuotaUse {
	all := make([]schema.QuotaUse, 0, len(uses))
	for _, u := range uses {
		all = append(all, schema.QuotaUse{Name: u.Kind.String(), Used: int(u.Used), Limit: int(u.Limit), ResetsMs: int(u.Resets.Milliseconds()), Near: u.Near})
	}
	return all
}
