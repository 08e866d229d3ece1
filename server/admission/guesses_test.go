package admission

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

func TestTenWrongTokensAMinuteAreTolerated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGuesses()
		a, b := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
		for i := range 10 {
			if g.Judge(a, true) != 0 || g.Judge(a, false) != 0 {
				t.Fatalf("wrong token %d is refused, or a right one before it", i)
			}
			time.Sleep(time.Second)
		}
		for _, right := range []bool{false, true} {
			if got := g.Judge(a, right); got != 50*time.Second {
				t.Errorf("then right: %v waits %v, want for what is left of the minute, 50s", right, got)
			}
			if got := g.Judge(b, right); got != 0 {
				t.Errorf("another address waits %v", got)
			}
		}
		time.Sleep(50*time.Second - 1)
		if g.Judge(a, true) == 0 {
			t.Error("a token is taken before the minute is over")
		}
		time.Sleep(time.Nanosecond)
		for i := range 10 {
			if g.Judge(a, true) != 0 || g.Judge(a, false) != 0 {
				t.Fatalf("wrong token %d of the next minute is refused", i)
			}
		}
		if g.Judge(a, true) != time.Minute {
			t.Error("the next minute has no bound")
		}
	})
}

func TestASubscriberOfIPv6GuessesAsOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGuesses()
		for i := range byte(10) {
			g.Judge(netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 15: i}), false)
		}
		if g.Judge(netip.MustParseAddr("2001:db8::ffff:2%eth0"), true) == 0 || g.Judge(netip.MustParseAddr("2001:db8:0:1::"), true) != 0 {
			t.Error("the bound is not that of a /64")
		}
	})
}

func TestPeersWithoutAnAddressOfTheirOwnAreNotRefused(t *testing.T) {
	g, none := NewGuesses(), (*Guesses)(nil)
	for range 100 {
		if g.Judge(netip.Addr{}, false) != 0 || none.Judge(netip.MustParseAddr("192.0.2.1"), false) != 0 {
			t.Fatal("refused")
		}
	}
	if len(g.seen) > 0 {
		t.Errorf("%d addresses are remembered, want none", len(g.seen))
	}
}

func TestManyGuessersTakeLittleMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGuesses()
		for i := range uint32(maxAddresses + 1000) {
			var b [4]byte
			binary.BigEndian.PutUint32(b[:], 0x0b000000+i)
			if g.Judge(netip.AddrFrom4(b), true) != 0 || g.Judge(netip.AddrFrom4(b), false) != 0 {
				t.Fatalf("the first token of address %d is refused", i)
			}
		}
		if len(g.seen) != maxAddresses {
			t.Errorf("%d addresses are remembered, want %d", len(g.seen), maxAddresses)
		}
		time.Sleep(guessTime)
		g.Judge(netip.MustParseAddr("192.0.2.1"), false)
		if len(g.seen) != 1 {
			t.Errorf("%d addresses are remembered after a minute, want 1", len(g.seen))
		}
	})
}
