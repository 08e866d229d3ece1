package gateway

import (
	"reversehttp/server/admission"
	"reversehttp/server/audit"
	"reversehttp/server/strangers"
)

// letStrangersIn guards people from pages of strangers, where the options say so. It is called once visits are there, before anybody comes.
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
