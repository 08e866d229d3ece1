package main

import (
	"context"
	"fmt"
	"strconv"
)

// beside measures traffic at a gateway while a growing number of claims is parked.
func (s *suite) beside(ctx context.Context) error {
	l := getSmall(64)
	var tallies []*tally
	for _, n := range append([]int{0}, s.claims()...) {
		w := l.work(s.o.each)
		w.name = fmt.Sprintf("%s beside %d parked claims", l.title(), n)
		w.line, w.at = lineClaims, strconv.Itoa(max(n, 1))
		tallies = append(tallies, &tally{work: w})
	}
	if !s.any(tallies) {
		return nil
	}
	for round := range s.o.rounds {
		s.say(round, "traffic beside parked claims")
		if err := s.besideRound(ctx, round, tallies); err != nil {
			return err
		}
	}
	s.keep(tallies)
	return nil
}

func (s *suite) besideRound(ctx context.Context, round int, tallies []*tally) error {
	p := &parking{form: linkForm}
	defer p.close()
	t, err := s.open(ctx, false, p.flags(s.mostClaims())...)
	if err != nil {
		return err
	}
	defer t.close()
	p.address = t.control
	for i, one := range tallies {
		if i > 0 {
			if err := p.until(ctx, s.claims()[i-1]); err != nil {
				return err
			}
		}
		if err := one.add(ctx, round, t.ways); err != nil {
			return err
		}
	}
	return nil
}
