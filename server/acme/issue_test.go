package acme

import (
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

func TestOrdersHaveBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &limits{perWeek: -1, parent: "gateway.test", addresses: make(map[netip.Prefix]*window), names: make(map[string]*window)}
		taken := 0
		take := func(from, name string, renewed bool) bool {
			ok := l.take(netip.MustParseAddr(from), name, renewed) == nil
			if ok {
				taken++
			}
			return ok
		}
		for i := range mostOfAddress {
			if !take(fmt.Sprintf("2001:db8::%x", i+1), fmt.Sprintf("n%d.test", i), false) {
				t.Fatalf("order %d of an address is refused", i)
			}
		}
		if take("2001:db8::ffff", "more.test", false) {
			t.Error("an address has more orders than it may, from its /64")
		}
		if !take("2001:db8::1", "n0.test", true) || !take("192.0.2.1", "more.test", false) {
			t.Error("a renewal, or another address, is refused")
		}
		if !take("192.0.2.1", "n0.test", false) || take("192.0.2.2", "n0.test", false) {
			t.Error("a name has not three orders an hour")
		}
		time.Sleep(lately)
		if !take("2001:db8::1", "n0.test", false) || len(l.addresses) != 1 || len(l.names) != 1 {
			t.Errorf("after an hour: %d addresses and %d names are remembered, want those of the last order", len(l.addresses), len(l.names))
		}
		for i := taken; i < mostOrders; i++ {
			if !take(fmt.Sprintf("192.0.2.%d", i), fmt.Sprintf("m%d.test", i), false) {
				t.Fatalf("order %d is refused", i)
			}
		}
		if take("192.0.2.200", "last.test", false) || take("192.0.2.200", "last.test", true) {
			t.Error("the gateway has more orders than it may")
		}
		time.Sleep(ordersWithin)
		if !take("192.0.2.200", "last.test", false) {
			t.Error("after three hours an order is refused")
		}
	})
}
