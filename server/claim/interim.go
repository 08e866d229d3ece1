package claim

// interims are the interim responses ahead of an answer. claim.mu guards them.
type interims struct {
	x       *Exchange
	waiting []*Answer // not given to the visitor yet
	count   int       // how many there were
}

// mostInterims is how many interim responses an exchange may have.
const mostInterims = 16

// push adds one and reports whether it could: there must not be too many, and there must be memory
// for it. The caller holds claim.mu, and signals news after unlocking it.
func (i *interims) push(a *Answer) bool {
	if i.count >= mostInterims || !i.x.hold.TryGrow(a.weight()) {
		return false
	}
	i.count++
	i.waiting = append(i.waiting, a)
	i.x.watch.informed(a)
	return true
}

// give passes those that came to the visitor, and reports whether the answer or a failure followed
// them. The caller holds no lock.
func (i *interims) give() (ready bool) {
	x := i.x
	x.claim.mu.Lock()
	waiting := i.waiting
	i.waiting, ready = nil, x.state >= answering
	x.claim.mu.Unlock()
	for _, a := range waiting {
		if x.request.Interims != nil {
			x.request.Interims.Inform(a)
		}
		x.hold.Shrink(a.weight())
	}
	return ready
}
