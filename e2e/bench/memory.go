package main

import (
	"context"
	"fmt"
)

// memory is the cost of a parked claim at the gateway: the growth by all parked claims, divided by their number.
type memory struct {
	Form   string `json:"form"`
	Claims int    `json:"claims"`
	// ResidentKiB is the resident memory that the kernel counts, once all are parked.
	ResidentKiB float64 `json:"residentKiB"`
	// HeapKiB is the live heap after a collection, StackKiB the memory of stacks.
	HeapKiB    float64 `json:"heapKiB"`
	StackKiB   float64 `json:"stackKiB"`
	Goroutines float64 `json:"goroutines"`
}

// memoryWork is the name by which --only chooses the memory of parked claims.
func memoryWork(f form) string { return "parked claims by " + f.name }

// measureMemory parks claims of each form, in each round at a new gateway.
func (s *suite) measureMemory(ctx context.Context) error {
	for _, f := range forms {
		if !s.o.only.MatchString(memoryWork(f)) {
			continue
		}
		seen := make([][]memory, len(s.claims()))
		for round := range s.o.rounds {
			s.say(round, memoryWork(f))
			m, err := s.parkRound(ctx, f)
			if err != nil {
				return fmt.Errorf("%s: %w", memoryWork(f), err)
			}
			for i := range m {
				seen[i] = append(seen[i], m[i])
			}
		}
		for i, rounds := range seen {
			s.report.Memory = append(s.report.Memory, memory{
				f.name, s.claims()[i],
				medianOf(rounds, func(m memory) float64 { return m.ResidentKiB }), medianOf(rounds, func(m memory) float64 { return m.HeapKiB }),
				medianOf(rounds, func(m memory) float64 { return m.StackKiB }), medianOf(rounds, func(m memory) float64 { return m.Goroutines }),
			})
		}
	}
	return nil
}

func (s *suite) parkRound(ctx context.Context, f form) (out []memory, err error) {
	p := &parking{form: f}
	defer p.close()
	gateway, address, err := s.startGateway(ctx, p.flags(s.mostClaims())...)
	if err != nil {
		return nil, err
	}
	defer gateway.stop()
	p.address = address
	probe, err := newProbe(address)
	if err != nil {
		return nil, err
	}
	defer probe.close()
	before, err := probe.settled()
	if err != nil {
		return nil, err
	}
	for _, n := range s.claims() {
		if err := p.until(ctx, n); err != nil {
			return nil, err
		}
		at, err := probe.until(n)
		if err != nil {
			return nil, err
		}
		after, err := probe.settled()
		if err != nil {
			return nil, err
		}
		each := func(a, b float64) float64 { return (a - b) / float64(n) }
		out = append(out, memory{
			f.name, n, each(at.resident, before.resident) / 1024, each(after.heap, before.heap) / 1024,
			each(after.stack, before.stack) / 1024, each(after.goroutines, before.goroutines),
		})
	}
	return out, nil
}
