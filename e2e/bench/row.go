package main

import (
	"context"
	"fmt"
)

// work is a measurement that is made on several ways.
type work struct {
	name string
	unit string // of the rate; empty if there is none
	// line is the growth of which this is the point at. Empty means none.
	line, at string
	measure  func(ctx context.Context, w way) (figures, error)
}

// row is a work with the figures of each way. The others are compared with the first way.
type row struct {
	Work string    `json:"work"`
	Unit string    `json:"unit,omitempty"`
	Line string    `json:"line,omitempty"`
	At   string    `json:"at,omitempty"`
	Ways []through `json:"ways"`
}

// through is a way with its figures, and the medians of their ratios to the first way in each round.
type through struct {
	Way     string  `json:"way"`
	Figures figures `json:"figures"`
	Ratio   figures `json:"ratio"`
}

// by returns the figures of the first of these ways that was measured.
func (r *row) by(ways ...string) (through, bool) {
	for _, name := range ways {
		for _, t := range r.Ways {
			if t.Way == name {
				return t, true
			}
		}
	}
	return through{}, false
}

// tally collects the rounds of a work.
type tally struct {
	work
	names []string
	seen  [][]figures // by way and round
}

// add measures all ways once, one right after the other. Each round begins with another way.
func (t *tally) add(ctx context.Context, round int, ways []way) error {
	if t.seen == nil {
		t.seen = make([][]figures, len(ways))
		for _, w := range ways {
			t.names = append(t.names, w.name)
		}
	}
	for turn := range ways {
		w := (round + turn) % len(ways)
		if err := ctx.Err(); err != nil {
			return err
		}
		f, err := t.measure(ctx, ways[w])
		if err != nil {
			return fmt.Errorf("%s, %s: %w", t.name, ways[w].name, err)
		}
		t.seen[w] = append(t.seen[w], f)
	}
	return nil
}

func (t *tally) row() row {
	r := row{Work: t.name, Unit: t.unit, Line: t.line, At: t.at}
	for w, name := range t.names {
		r.Ways = append(r.Ways, through{name, medianFigures(t.seen[w]), ratioOf(t.seen[w], t.seen[0])})
	}
	return r
}
