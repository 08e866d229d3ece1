package abuse

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2/hpack"
)

// longest is the longest timeout that a claim may request.
const longest = 600_000

// silent are claims whose programs take requests and never answer.
type silent struct {
	claims []*owner
	taken  atomic.Int64
	end    func()
}

// keepSilent claims labels, each from its own address, and polls for them.
func (w *world) keepSilent(claims int) *silent {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.t.Context())
	var programs sync.WaitGroup
	s := &silent{end: func() {
		cancel()
		programs.Wait()
	}}
	for i := range claims {
		o := w.own(owning(i), "silent-"+strconv.Itoa(i), longest)
		s.claims = append(s.claims, o)
		programs.Go(func() { o.keepSilent(ctx, &s.taken) })
	}
	return s
}

// flood opens HTTP/2 connections, each for one of the silent claims, and fills each with streams until every
// stream was taken by a program or has ended. Then it opens one stream after the other, wherever there is
// room. It returns how streams end, and a function that ends the flood.
func (w *world) flood(s *silent, connections, streams, addresses int, fields ...hpack.HeaderField) (ends *tally, leave func()) {
	w.t.Helper()
	ends = &tally{}
	var open []*http2Conn
	var of []int // which silent claim each of them asks
	over := make(chan struct{})
	var insisting sync.WaitGroup
	leave = func() {
		close(over)
		insisting.Wait()
		for _, c := range open {
			c.leave()
		}
	}
	host := func(i int) string { return hostOf(s.claims[i%len(s.claims)].URL) }
	sent, refused := 0, 0
	for i := range connections {
		c := attacker(i%addresses).dialHTTP2(w.t, w.gateway, ends)
		if c == nil {
			refused++
			continue
		}
		open, of = append(open, c), append(of, i)
		for n := range min(streams, c.most) {
			if c.get(host(i), "/"+strconv.Itoa(n), fields...) != nil {
				break // the gateway ended it, or reads no more
			}
			sent++
		}
	}
	settle(sent, func() int { return int(s.taken.Load()) + ends.total() })
	w.t.Logf("of %d requests on %d connections programs took %d; of all ended: %s; %d connections more were refused", sent, len(open), s.taken.Load(), ends, refused)
	insisting.Go(func() {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for i := 0; ; i++ {
			if c := open[i%len(open)]; !c.full() {
				_ = c.get(host(of[i%len(of)]), "/more", fields...) // it may have ended
			}
			select {
			case <-tick.C:
			case <-over:
				return
			}
		}
	})
	return ends, leave
}

// harmless are the ends of a stream that a gateway may send to a client that takes too much, or whose own
// program polls too seldom.
var harmless = []string{
	"503 queue_full", "503 no_handler", "429 quota_exceeded", "429 rate_limited", "431 fields_too_large",
	"reset REFUSED_STREAM", "reset ENHANCE_YOUR_CALM", "connection ended",
}

// judgeFlood fails the test if a request of a flood ended in another way.
func judgeFlood(t *testing.T, ends *tally) {
	t.Helper()
	if other := ends.total(harmless...); other > 0 {
		t.Errorf("%d requests of the flood ended otherwise than %q: %s", other, harmless, ends)
	}
}

// referFields sends requests of a few bytes each that expand to 60 KB of fields: HPACK refers to an earlier
// value. Each byte of it becomes a character of two bytes.
func referFields(t *testing.T, w *world) {
	s := w.keepSilent(8)
	defer s.end()
	large := hpack.HeaderField{Name: "x", Value: strings.Repeat("\xe9", 4000)}
	fields := make([]hpack.HeaderField, 15)
	for i := range fields {
		fields[i] = large
	}
	ends, leave := w.flood(s, 60, 128, 1, fields...)
	defer leave()
	w.goOn("fields are referred to", 50)
	judgeFlood(t, ends)
}

// holdExchanges holds as many exchanges as the gateway allows, by claims of its own whose programs never
// answer, from a number of addresses.
func holdExchanges(addresses int) func(t *testing.T, w *world) {
	return func(t *testing.T, w *world) {
		s := w.keepSilent(17)
		defer s.end()
		ends, leave := w.flood(s, 170, 100, addresses)
		defer leave()
		w.goOn("exchanges are held", 50)
		judgeFlood(t, ends)
	}
}
