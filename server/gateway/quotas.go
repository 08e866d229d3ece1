package gateway

import (
	"github.com/prometheus/client_golang/prometheus"

	"reversehttp/server/account"
	"reversehttp/server/claim"
	"reversehttp/server/quota"
	"reversehttp/server/terms"
)

// Quotas bound usage. Nil members mean no bound.
type Quotas struct {
	// Account applies to each account without quotas of its own, Address to all claims of a
	// stranger's address together, and Label to each claim.
	Account, Address, Label *quota.Limits
	// Keeper stores usage, and Kept is the usage read back from it. Nil means that counts start at
	// zero.
	Keeper quota.Keeper
	Kept   []quota.Record
	// Shared is where the nodes of a cluster keep what each of them has used. Nil means that only
	// what this process has used counts.
	Shared quota.Shared
}

// newBook returns the book that counts usage, or nil if there are no quotas.
func newBook(o *Options) *quota.Book {
	if o.Accounts == nil && o.Quotas.Account == nil && o.Quotas.Address == nil && o.Quotas.Label == nil {
		return nil
	}
	return quota.New(quota.Options{
		Account: func(name string) (*quota.Limits, bool) {
			one := o.Accounts.Accounts().Named(name)
			if one != nil && one.Quotas != nil {
				return one.Quotas, true
			}
			return o.Quotas.Account, one != nil
		},
		Label: func(name string) *quota.Limits {
			if one := o.Accounts.Accounts().Named(name); one != nil && one.LabelQuotas != nil {
				return one.LabelQuotas
			}
			return o.Quotas.Label
		},
		Address: o.Quotas.Address, Keeper: o.Quotas.Keeper, Kept: o.Quotas.Kept, Shared: o.Quotas.Shared, Log: o.Log,
	})
}

// counts adapts a book to [claim.Quotas].
type counts struct{ *quota.Book }

// quotasOf returns the quotas for the core, or nil if nothing is counted.
func quotasOf(b *quota.Book) claim.Quotas {
	if b == nil {
		return nil
	}
	return counts{b}
}

// Claim implements [claim.Quotas].
func (c counts) Claim(label string, t claim.Terms, restored bool) (alone bool, release func(), err error) {
	m := terms.MakerOf(t)
	return c.Book.Claim(label, quota.Maker{Account: m.Name, Address: m.Address}, restored)
}

// Collect implements [prometheus.Collector]. It exports the usage of accounts in the file only,
// whose number is bounded.
func (c usageMetrics) Collect(into chan<- prometheus.Metric) {
	for _, one := range c.accounts.Accounts().All() {
		for _, u := range c.book.Account(one.Name) {
			into <- prometheus.MustNewConstMetric(usedOf, prometheus.GaugeValue, float64(u.Used), one.Name, u.Kind.String())
			if u.Limit > 0 {
				into <- prometheus.MustNewConstMetric(limitOf, prometheus.GaugeValue, float64(u.Limit), one.Name, u.Kind.String())
			}
		}
	}
	c.book.Refusals(func(of quota.Of, k quota.Kind, n int64) {
		into <- prometheus.MustNewConstMetric(refusalsOf, prometheus.CounterValue, float64(n), string(of), k.String())
	})
}

// Describe implements [prometheus.Collector].
func (c usageMetrics) Describe(into chan<- *prometheus.Desc) {
	into <- usedOf
	into <- limitOf
	into <- refusalsOf
}

// usageMetrics exports the usage of quotas.
type usageMetrics struct {
	book     *quota.Book
	accounts *account.Directory
}

var (
	usedOf     = prometheus.NewDesc("reversehttp_quota_used", "What claims of accounts of the file use, at all nodes.", []string{"account", "quota"}, nil)
	limitOf    = prometheus.NewDesc("reversehttp_quota_limit", "How much of that there may be.", []string{"account", "quota"}, nil)
	refusalsOf = prometheus.NewDesc("reversehttp_quota_refusals_total", "How often a quota was found used up.", []string{"of", "quota"}, nil)
)
