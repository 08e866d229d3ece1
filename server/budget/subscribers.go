package budget

import (
	"net/netip"
	"slices"
	"sync"
)

// Subscribers are the newest few subscribers that something is known of. The zero value has none.
type Subscribers struct {
	mu  sync.Mutex
	all []netip.Prefix // the newest first
}

// mostSubscribers bounds them. One program may have several addresses: one of IPv4 and one of IPv6.
const mostSubscribers = 4

// Add adds the subscriber at an address; the zero value is nobody.
func (s *Subscribers) Add(a netip.Addr) {
	who := Subscriber(a)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !who.IsValid() || len(s.all) > 0 && s.all[0] == who {
		return
	}
	s.all = slices.DeleteFunc(s.all, func(p netip.Prefix) bool { return p == who })
	s.all = slices.Insert(s.all[:min(len(s.all), mostSubscribers-1)], 0, who)
}

// Has reports whether the subscriber at an address is one of them.
func (s *Subscribers) Has(a netip.Addr) bool {
	who := Subscriber(a)
	s.mu.Lock()
	defer s.mu.Unlock()
	return who.IsValid() && slices.Contains(s.all, who)
}

// Clear takes all of them out.
func (s *Subscribers) Clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = nil
}
