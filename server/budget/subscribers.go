package budget

import (
	"net/netip"
	"slices"
	"sync"
)

// Subscribers is a set of the few newest subscribers. The zero value is empty.
type Subscribers struct {
	mu  sync.Mutex
	all []netip.Prefix // the newest first
}

// mostSubscribers bounds the set. A program may have several addresses, such as one of IPv4 and one
// of IPv6.
const mostSubscribers = 4

// Add adds the subscriber of an address. It ignores the zero value.
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

// Has reports whether the subscriber of an address is in the set.
func (s *Subscribers) Has(a netip.Addr) bool {
	who := Subscriber(a)
	s.mu.Lock()
	defer s.mu.Unlock()
	return who.IsValid() && slices.Contains(s.all, who)
}

// All returns the set, the newest first.
func (s *Subscribers) All() []netip.Prefix {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.all)
}

// Clear empties the set.
func (s *Subscribers) Clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = nil
}
