package admission

import (
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"reversehttp/server/budget"
)

// Rate bounds how often one address does something. IPv6 addresses count by their /64, which is
// what one subscriber has.
type Rate struct {
	perSecond rate.Limit
	burst     int

	mu sync.Mutex // guards below
	addresses[*limiter]
}

type limiter struct {
	*rate.Limiter
	last time.Time
}

// forgetAfter is how long a quiet address is remembered.
const forgetAfter = time.Minute

// NewRate returns a Rate that allows perSecond events a second from one address, with bursts of
// twenty seconds' worth. Zero or less means no bound.
func NewRate(perSecond float64) *Rate {
	return &Rate{perSecond: rate.Limit(perSecond), burst: max(int(20*perSecond), 1), addresses: addresses[*limiter]{seen: make(map[netip.Prefix]*limiter)}}
}

// Allow counts an event from a and reports whether it is within the rate.
func (r *Rate) Allow(a netip.Addr) bool {
	if r.perSecond <= 0 || !a.IsValid() {
		return true
	}
	who := budget.Subscriber(a)
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	l := r.seen[who]
	if l == nil {
		r.makeRoom(now, func(l *limiter) bool { return now.Sub(l.last) > forgetAfter })
		l = &limiter{Limiter: rate.NewLimiter(r.perSecond, r.burst)}
		r.seen[who] = l
	}
	l.last = now
	return l.AllowN(now, 1)
}
