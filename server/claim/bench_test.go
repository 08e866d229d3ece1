package claim

import (
	"context"
	"net/netip"
	"testing"
	"time"
)

// BenchmarkExchange is one visitor's request, one poll that takes it, and the answer.
func BenchmarkExchange(b *testing.B) {
	for name, tap := range benchTaps {
		b.Run(name, func(b *testing.B) { benchmarkExchange(b, tap) })
	}
}

func benchmarkExchange(b *testing.B, prepare func(*Claim)) {
	r := New(Options{})
	defer r.Close()
	o, err := r.Open(netip.Addr{}, "demo", "t0", Settings{})
	if err != nil {
		b.Fatal(err)
	}
	s := o.Session
	prepare(s.Claim())
	content := []byte("some content")
	begin, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for range begin {
			hold := r.budget.Open(netip.Addr{})
			x, err := s.Claim().Begin(hold, nil)
			if err != nil {
				b.Error(err)
				return
			}
			if _, err = x.Do(context.Background(), &Request{Method: "GET", Target: "/"}); err != nil {
				b.Error(err)
			}
			hold.Close()
			done <- struct{}{}
		}
	}()
	b.ReportAllocs()
	for b.Loop() {
		begin <- struct{}{}
		batch, err := s.Poll(context.Background(), nil, time.Minute, 0)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := s.Delivery(batch.Messages[0].ID).Answer(&Answer{Status: 200, Content: content}, nil); err != nil {
			b.Fatal(err)
		}
		<-done
	}
	close(begin)
	<-done
}

var benchTaps = map[string]func(*Claim){
	"no tap": func(*Claim) {},
	"tap":    func(c *Claim) { setTap(c, discard{}) },
}

func TestWithoutATapAnExchangeAllocatesNothingForIt(t *testing.T) {
	r := New(Options{})
	defer r.Close()
	o, err := r.Open(netip.Addr{}, "demo", "t0", Settings{})
	if err != nil {
		t.Fatal(err)
	}
	s, content := o.Session, []byte("some content")
	x := &Exchange{claim: s.claim, request: &Request{Content: Whole(content)}}
	a := &Answer{Status: 200, Content: content}
	if n := testing.AllocsPerRun(1000, func() {
		s.claim.mu.Lock()
		x.watch = newWatch(x)
		x.watch.delivered(s)
		x.watch.answered(a)
		x.watch.received(content)
		x.watch.ended(a)
		s.claim.mu.Unlock()
		x.watch.sent(content)
	}); n != 0 || x.watch != nil {
		t.Errorf("%v allocations an exchange, want none", n)
	}
}
