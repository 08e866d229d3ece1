package gateway

import (
	"reversehttp/server/admission"
	"reversehttp/server/audit"
	"reversehttp/server/strangers"
)

// letStrangersIn protects people from pages of strangers if [Options.Public] is set. Call it after
// g.visits is set and before the first request.
func letStrangersIn(g *Gateway, o *Options, admitted *admission.Admission) {
	if o.Public || o.SecurityContact != "" {
		g.desk = strangers.NewDesk(strangers.Desk{
			Public: g.public, Trust: g.trust, Locate: g.locate, Contact: o.SecurityContact, Logs: []*audit.Log{o.Audit, o.AbuseLog}, Log: o.Log,
		})
	}
	if o.Public {
		g.visits.Strangers = strangers.NewGuard(g.public, g.trust)
		admitted.Brands = admission.NewBrands()
	}
}
