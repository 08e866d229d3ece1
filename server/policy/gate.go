package policy

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"reversehttp/server/admission"
	"reversehttp/server/budget"
	"reversehttp/server/claim"
	"reversehttp/server/problem"
	"reversehttp/server/publicurl"
	"reversehttp/server/terms"
	"reversehttp/server/trust"
	"reversehttp/server/visit"
)

// Policies are the gates of all claims of a gateway. Its members are set before a request comes, and do not change.
type Policies struct {
	Public *publicurl.Template
	Trust  trust.Peers
	// Guesses bounds the wrong passwords and tokens of an address. Nil counts none.
	Guesses *admission.Guesses
	// Budget bounds the memory that the gates keep because of requests.
	Budget *budget.Budget

	guards sync.Map // *claim.Claim → *guard
}

// guard is what stands before a claim that has, or had, a policy, until the claim ends.
type guard struct {
	policies *Policies
	claim    *claim.Claim
	rules    atomic.Pointer[rules] // nil while it has none

	mu      sync.Mutex // guards what follows
	hold    *budget.Hold
	closed  bool
	windows map[netip.Prefix]window
	ids     ids
	shares  shares
}

// rules is a policy, made ready.
type rules struct {
	of *Policy
	// steps are in their order.
	steps []step
	letIn *letIn // nil if the policy lets everybody in
	// link are the steps of a request for a link that lets in; nil if there are no links.
	link []step
}

// step judges a request, and notes its verdict in [asked]. A nil problem passes the request on.
type step func(*asked) *problem.Problem

// asked is a request that is judged.
type asked struct {
	guard *guard
	head  *claim.Request
	// cookies are the Cookie fields, the gateway's own cookies among them.
	cookies []string
	// path is the path below the claim's public URL, as it was sent; empty if the target has none.
	path string
	// from is the visitor's address; apart is the same, unless many visitors share that address.
	from, apart netip.Addr
	// preflight is the method that a CORS preflight asks for; empty for another request.
	preflight string
	verdict   visit.Verdict
}

// Keep has the policy that is among the terms of a claim enforced from now on. It is called with the claim locked.
func (p *Policies) Keep(c *claim.Claim, t claim.Terms) {
	policy, _ := t.Others[terms.Policy].(*Policy)
	found, ok := p.guards.Load(c)
	if !ok && policy == nil {
		return
	}
	if !ok {
		found, _ = p.guards.LoadOrStore(c, &guard{policies: p, claim: c})
	}
	g := found.(*guard)
	switch before := g.rules.Load(); {
	case policy == nil:
		g.rules.Store(nil)
	case before == nil || before.of != policy:
		g.rules.Store(g.ready(policy))
	}
	if policy == nil || !policy.Share {
		g.endShares()
	}
}

// End forgets a claim, which has ended.
func (p *Policies) End(c *claim.Claim) {
	found, ok := p.guards.LoadAndDelete(c)
	if !ok {
		return
	}
	g := found.(*guard)
	g.mu.Lock()
	hold := g.hold
	g.closed, g.hold = true, nil
	g.mu.Unlock()
	if hold != nil {
		hold.Close()
	}
}

// grow counts bytes that the guard keeps for the claim, and reports whether there is room. The caller holds g.mu.
func (g *guard) grow(n int) bool {
	if g.closed {
		return false
	}
	if g.hold == nil {
		g.hold = g.policies.Budget.Open(netip.Addr{})
		g.claim.Charge(g.hold)
	}
	return g.hold.TryGrow(n)
}

// shrink takes back what grow counted. The caller holds g.mu.
func (g *guard) shrink(n int) {
	if g.hold != nil {
		g.hold.Shrink(n)
	}
}

// ready makes a policy ready. The order of its steps is that of schema/README.md, section 14.
func (g *guard) ready(p *Policy) *rules {
	r := &rules{of: p}
	add := func(to *[]step, set bool, make func(*Policy) step) {
		if set {
			*to = append(*to, make(p))
		}
	}
	add(&r.steps, p.IP != nil, ipStep)
	add(&r.steps, p.Methods != nil, methodStep)
	add(&r.steps, p.Paths != nil, pathStep)
	add(&r.steps, p.Rate != nil, rateStep)
	if p.Share { // the link is the gateway's own: what the program takes does not count for it
		add(&r.link, p.IP != nil, ipStep)
		add(&r.link, p.Rate != nil, rateStep)
		r.link = append(r.link, shareStep)
	}
	r.letIn = newLetIn(p, g.claim.Label())
	if r.letIn != nil || p.Methods != nil && !slices.Contains(p.Methods, http.MethodOptions) { // preflights could not pass
		r.steps = append(r.steps, preflightStep)
	}
	if r.letIn != nil {
		r.steps = append(r.steps, r.letIn.judge)
	}
	add(&r.steps, p.Content != nil, contentStep)
	add(&r.steps, p.Webhook != nil, webhookStep)
	return r
}

// preflightStep answers a preflight, which goes no further.
func preflightStep(a *asked) *problem.Problem {
	if a.preflight != "" {
		a.verdict.Answer = answerPreflight(a)
	}
	return nil
}

// Judge is the Judge of [visit.Gates].
func (p *Policies) Judge(c *claim.Claim, head *claim.Request, cookies []string) visit.Verdict {
	g, r := p.rulesOf(c)
	if r == nil {
		return visit.Verdict{}
	}
	a := &asked{guard: g, head: head, cookies: cookies, path: p.pathOf(c.Label(), head), preflight: preflightOf(head)}
	a.from, a.apart = p.Trust.Sender(head.RemoteAddr)
	steps := r.steps
	if r.link != nil && strings.HasPrefix(a.path, sharePath) {
		steps = r.link
		a.verdict.Target = maskedShare // whatever refuses it
	}
	for _, judge := range steps {
		a.verdict.Refuse = judge(a)
		if a.verdict.Refuse != nil || a.verdict.Answer != nil {
			break
		}
	}
	return a.verdict
}

// rulesOf returns the guard of a claim and its rules, which are nil if nothing guards it.
func (p *Policies) rulesOf(c *claim.Claim) (*guard, *rules) {
	found, ok := p.guards.Load(c)
	if !ok {
		return nil, nil
	}
	g := found.(*guard)
	return g, g.rules.Load()
}

// pathOf returns the path of a target below the public URL of a label, undecoded and without its query; empty if it
// has none.
func (p *Policies) pathOf(label string, head *claim.Request) string {
	below, ok := publicurl.BelowOrigin(head.Target)
	if !ok {
		return "" // OPTIONS *
	}
	path, _, _ := strings.Cut(below, "?")
	if path == "" {
		path = "/"
	}
	if prefix := p.Public.PathPrefix; prefix != "" && head.Base == "" { // otherwise it is at a domain of the claim's own
		rest, ok := strings.CutPrefix(path, prefix+label)
		if !ok {
			return ""
		}
		path = rest
	}
	return path
}

// values returns the values of the fields of a name.
func values(r *claim.Request, name string) (all []string) {
	for _, f := range r.Fields {
		if strings.EqualFold(f.Name, name) {
			all = append(all, f.Value)
		}
	}
	return all
}
