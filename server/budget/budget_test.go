package budget

import (
	"context"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var someone, another = netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")

// fill grows h by n bytes at a time until it is refused, and returns what it holds.
func fill(h *Hold, n int) int {
	for h.Grow(n) {
	}
	return int(h.Held(Memory))
}

func TestAnOwnerHoldsAtMostAsMuchAsIsFree(t *testing.T) {
	const mib = 1 << 20
	b := New(Amounts{Memory: 60 * mib})
	one, two, three := b.Open(someone), b.Open(another), b.Open(netip.MustParseAddr("192.0.2.3"))
	near := func(got, want int) bool { return want-mib <= got && got <= want+mib }
	if got := fill(one, 1<<10); !near(got, 30*mib) {
		t.Errorf("one alone holds %d, want half", got)
	}
	if got := fill(two, 1<<10); !near(got, 15*mib) {
		t.Errorf("a second holds %d, want half of what was free", got)
	}
	if again := b.Open(someone); again.Grow(1) {
		t.Error("another hold of the first owner grows")
	}
	one.Shrink(int(one.Held(Memory)) - 20*mib)
	if got := fill(two, 1<<10); !near(got, 20*mib) {
		t.Errorf("two hold %d and %d, want a third each", int(one.Held(Memory)), got)
	}
	if !three.Grow(mib) {
		t.Error("a third finds nothing free")
	}
	for _, h := range []*Hold{one, two, three, three} {
		h.Close()
	}
	if n := b.Held(Memory); n != 0 {
		t.Errorf("%d bytes are held after all are closed, want 0", n)
	}
}

func TestAClaimHasAShareForAllItsVisitors(t *testing.T) {
	b := New(Amounts{Memory: 1 << 20})
	var claim, other Owner
	held := 0
	for i := range byte(200) {
		h := b.Open(netip.AddrFrom4([4]byte{10, 0, 0, i}))
		h.Join(&claim)
		for h.Grow(1 << 10) {
			held += 1 << 10
		}
	}
	if half := 512 << 10; held > half || held < half-2<<10 {
		t.Errorf("a claim with many visitors holds %d bytes, want about %d", held, half)
	}
	h := b.Open(someone)
	h.Join(&other)
	if !h.Grow(100 << 10) {
		t.Error("another claim finds nothing free")
	}
}

func TestARequestThatCanWaitGrowsOnceThereIsRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New(Amounts{Memory: 1 << 20})
		full, h := b.Open(someone), b.Open(another)
		full.Add(1 << 20)
		grown, over := make(chan bool), make(chan struct{})
		ctx, leave := context.WithCancel(t.Context())
		go func() { grown <- h.GrowSoon(ctx, over, 1000) }()
		time.Sleep(time.Minute)
		select {
		case <-grown:
			t.Fatal("it does not wait for room")
		default:
		}
		full.Shrink(1 << 19)
		if !<-grown || int(h.Held(Memory)) != 1000 {
			t.Errorf("%d bytes are held, want 1000 once there is room", int(h.Held(Memory)))
		}
		full.Add(1 << 19)
		go func() { grown <- h.GrowSoon(ctx, over, 1) }()
		synctest.Wait()
		close(over)
		if <-grown {
			t.Error("it grows after the end of what it waits for")
		}
		leave()
		if h.GrowSoon(ctx, nil, 1) {
			t.Error("it grows although nobody waits")
		}
		full.Close()
		h.Close()
	})
}

func TestTheReserveIsForSmallThings(t *testing.T) {
	b := New(Amounts{Memory: 16 << 20})
	b.Open(netip.Addr{}).Add(15<<20 - smallThing)
	h := b.Open(someone)
	if h.Grow(smallThing + 1) {
		t.Error("something large takes from the reserve")
	}
	if !h.Grow(smallThing) {
		t.Error("something small does not fit beside the reserve")
	}
	if !h.Grow(smallThing) {
		t.Error("something small does not take from the reserve")
	}
}

func TestAPlaceIsTakenAndReturnedOnce(t *testing.T) {
	b := New(Amounts{Exchanges: 2})
	one, two := b.Open(netip.Addr{}), b.Open(netip.Addr{})
	if !one.Enter(Exchanges) || !two.Enter(Exchanges) {
		t.Fatal("two places are not for two")
	}
	if b.Open(netip.Addr{}).Enter(Exchanges) {
		t.Fatal("there is a third place")
	}
	one.Exit(Exchanges)
	one.Exit(Exchanges)
	one.Close()
	if n := b.Held(Exchanges); n != 1 {
		t.Errorf("%d places are held, want 1", n)
	}
	if !b.Open(netip.Addr{}).Enter(Exchanges) {
		t.Error("the place that was given back is not free")
	}
}

// slow opens a hold of an address that waits for its peer, and notes under a name that it
// was taken back.
func slow(b *Budget, a netip.Addr, bytes int, name string, taken *[]string) *Hold {
	h := b.Open(a)
	h.Enter(Exchanges)
	h.Grow(bytes)
	h.Evictable(func(error) {
		*taken = append(*taken, name)
		h.Exit(Exchanges)
	})
	h.Wait()
	return h
}

func TestTheLongestWaitMakesRoomForOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New(Amounts{Exchanges: 4})
		var taken []string
		first := slow(b, someone, 0, "first", &taken)
		time.Sleep(time.Second)
		slow(b, someone, 0, "second", &taken)
		time.Sleep(b.SlowAfter[Exchanges] + 1)
		if h := b.Open(another); !h.Enter(Exchanges) || len(taken) != 0 {
			t.Fatalf("a place that is free costs %v", taken)
		}
		if h := b.Open(netip.Addr{}); !h.Enter(Exchanges) || len(taken) != 0 {
			t.Fatalf("the last place costs %v", taken)
		}
		for _, want := range []string{"first", "second"} {
			taken = nil
			if h := b.Open(netip.Addr{}); !h.Enter(Exchanges) || len(taken) != 1 || taken[0] != want {
				t.Fatalf("took back %v, want %s", taken, want)
			}
		}
		if first.Evicted() != ErrTooSlow || b.Evicted(Exchanges) != 2 {
			t.Errorf("evicted: %v, %d; want true and 2", first.Evicted(), b.Evicted(Exchanges))
		}
		if b.Open(another).Enter(Exchanges) {
			t.Error("there is a place, though nobody is slow")
		}
	})
}

func TestRoomIsMadeOnceTheNextPeerIsSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New(Amounts{Exchanges: 4})
		var owner, other Owner
		var taken []string
		slow(b, someone, 0, "another owner's", &taken).Join(&other)
		time.Sleep(b.SlowAfter[Exchanges] + 1)
		slow(b, someone, 0, "first", &taken).Join(&owner)
		time.Sleep(b.SlowAfter[Exchanges] / 2)
		slow(b, another, 0, "second", &taken).Join(&owner)
		b.Open(another).Join(&owner) // is not waited for
		for _, want := range []string{"first", "second"} {
			if taken = nil; !b.Relieve(Exchanges, &owner) || len(taken) != 1 || taken[0] != want {
				t.Fatalf("took back %v, want %s", taken, want)
			}
		}
		began := time.Now()
		if b.Relieve(Exchanges, &owner) || time.Since(began) != 0 {
			t.Error("waited, though no peer is waited for")
		}
	})
}

func TestAPeerThatMovesKeepsItsPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New(Amounts{Exchanges: 1})
		var taken []string
		h := slow(b, netip.Addr{}, 0, "it", &taken)
		time.Sleep(b.SlowAfter[Exchanges]) // not longer
		if b.Open(netip.Addr{}).Enter(Exchanges) {
			t.Error("a peer counted as slow at once")
		}
		time.Sleep(time.Second)
		h.Move(0)
		if b.Open(netip.Addr{}).Enter(Exchanges) {
			t.Error("a peer that made progress counted as slow")
		}
		h.Wait()
		time.Sleep(b.SlowAfter[Exchanges] + 1)
		h.Close()
		if !b.Open(netip.Addr{}).Enter(Exchanges) || len(taken) != 0 {
			t.Errorf("took back %v, want nothing of a hold that is closed", taken)
		}
	})
}

func TestTheMostBytesOfTheLargestOwnerGoFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New(Amounts{Memory: 1 << 20})
		var taken []string
		slow(b, someone, 100<<10, "of the largest owner", &taken)
		slow(b, someone, 200<<10, "the most of the largest owner", &taken)
		slow(b, another, 220<<10, "the most", &taken)
		time.Sleep(b.SlowAfter[Memory] + looksEvery + 1)
		// 520 KiB are held. What comes makes memory scarce.
		var others []*Hold
		for i := range byte(3) {
			h := b.Open(netip.AddrFrom4([4]byte{10, 0, 0, i}))
			others = append(others, h)
			if !h.Grow(100 << 10) {
				t.Fatalf("other %d finds nothing free", i)
			}
		}
		if len(taken) != 1 || taken[0] != "the most of the largest owner" {
			t.Errorf("took back %v, want the most of the largest owner", taken)
		}
		for _, h := range others {
			h.Close()
		}
	})
}

func TestABudgetIsExactUnderARace(t *testing.T) {
	b := New(Amounts{Memory: 1 << 20, Exchanges: 64, Connections: 8})
	var claims [4]Owner
	var crowd sync.WaitGroup
	for i := range 16 {
		crowd.Go(func() {
			for n := range 2_000 {
				h := b.Open(netip.AddrFrom4([4]byte{10, 0, 0, byte(i % 5)}))
				h.Join(&claims[i%len(claims)])
				h.Evictable(func(error) { h.Exit(Exchanges) })
				h.Enter(Exchanges)
				h.Wait()
				if h.Grow(n % 5_000) {
					h.Add(10)
					h.Shrink(10)
				}
				h.Relieve()
				h.Move(0)
				h.Close()
			}
		})
	}
	crowd.Wait()
	for r := range Resource(resources) {
		if n := b.Held(r); n != 0 {
			t.Errorf("%d of %s are held at the end, want 0", n, r)
		}
		for i := range claims {
			if n := claims[i].held[r].Load(); n != 0 {
				t.Errorf("claim %d holds %d of %s at the end, want 0", i, n, r)
			}
		}
	}
	if len(b.addresses) != 0 || b.holds.next != &b.holds {
		t.Errorf("%d addresses are remembered at the end", len(b.addresses))
	}
}

func TestANetworkOfIPv6IsOneAddress(t *testing.T) {
	b := New(Amounts{Connections: 4})
	for i, c := range []struct {
		address string
		enters  bool
	}{
		{"2001:db8::1", true}, {"2001:db8::2", true}, {"2001:db8::3%eth0", false}, {"2001:db8:0:1::1", true}, {"::ffff:192.0.2.1", true},
	} {
		if got := b.Open(netip.MustParseAddr(c.address)).Enter(Connections); got != c.enters {
			t.Errorf("connection %d, of %s: enters %v, want %v", i, c.address, got, c.enters)
		}
	}
}
