package claim

// Quotas count claims and sessions for the makers of the claims. Methods are called with locks
// held: they wait for nobody, and call nothing of the registry.
type Quotas interface {
	// Claim counts a new claim that has these terms, or returns why there may be no other one. A
	// restored claim counts regardless of limits. alone reports that the claim does not count for
	// the address that it came from. release gives it back.
	Claim(label string, t Terms, restored bool) (alone bool, release func(), err error)
	// Session counts a new session of a label's claim, or returns why there may be no other one.
	// release gives it back.
	Session(label string) (release func(), err error)
}

// countClaim counts a claim if there are quotas.
func (o *Options) countClaim(label string, t Terms, restored bool) (alone bool, release func(), err error) {
	if o.Quotas == nil {
		return false, func() {}, nil
	}
	return o.Quotas.Claim(label, t, restored)
}

// countSession counts a session if there are quotas.
func (o *Options) countSession(label string) (release func(), err error) {
	if o.Quotas == nil {
		return func() {}, nil
	}
	return o.Quotas.Session(label)
}
