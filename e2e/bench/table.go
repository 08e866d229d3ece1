package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// writeTable writes the report for people.
func (r *report) writeTable(out io.Writer) error {
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	line := func(format string, args ...any) { _, _ = fmt.Fprintf(t, format+"\n", args...) }
	line("%s; %s; %s", r.Date.Format(time.DateOnly), r.Machine, strings.Join(r.Versions, ", "))
	line("%s; %.0f s", r.method(), r.Seconds)
	for _, s := range r.Skipped {
		line("skipped: %s", s)
	}
	line("")
	r.writeRows(line)
	for _, name := range []string{lineConcurrency, lineContent, lineSessions, lineClaims} {
		r.writeLine(line, name)
	}
	if len(r.Memory) > 0 {
		line("parked claims\tby\tresident KiB\theap KiB\tstack KiB\tgoroutines, each for one claim")
		for _, m := range r.Memory {
			line("%d\t%s\t%.1f\t%.1f\t%.1f\t%.2f", m.Claims, m.Form, m.ResidentKiB, m.HeapKiB, m.StackKiB, m.Goroutines)
		}
		line("")
	}
	if len(r.Goals) > 0 {
		line("goal\tby\tfigure\ttarget\tis\t")
		for _, g := range r.Goals {
			line("%s\t%s\t%s\t%s\t%.2f\t%s", g.Work, g.By, g.Figure, g.bound(), g.Is, g.verdict())
		}
	}
	return t.Flush()
}

// method describes how the figures were measured.
func (r *report) method() string {
	s := fmt.Sprintf("medians of %d rounds of %d ms a figure", r.Rounds, r.EachMs)
	if r.Load != "" {
		s += "; load average before the run " + r.Load
	}
	return s
}

// writeRows writes the rows, except those that are only points of a line.
func (r *report) writeRows(line func(string, ...any)) {
	whole := func(w row) bool {
		return w.Line == "" || slices.ContainsFunc(r.Goals, func(g goal) bool { return g.Work == w.Work })
	}
	if !slices.ContainsFunc(r.Rows, whole) {
		return
	}
	line("work\tway\trate\tp50 ms\tp99 ms\tCPU s of it\twith program\tallocations of it\tof program")
	for _, w := range r.Rows {
		if !whole(w) {
			continue
		}
		for i, t := range w.Ways {
			name := ""
			if i == 0 {
				name = w.Work
			}
			f := t.Figures
			unit := w.Unit
			if f.Rate == 0 {
				unit = ""
			}
			line("%s\t%s\t%s %s\t%s\t%s\t%s\t%s\t%s\t%s", name, t.Way, number(f.Rate, 0), unit, number(f.P50Ms, 2), number(f.P99Ms, 2),
				number(f.MiddleCPU, 2), number(f.PathCPU, 2), number(f.MiddleMallocs, 0), number(f.ProgramMallocs, 0))
			if f = t.Ratio; i > 0 {
				line("\t  ratio\t%s\t%s\t%s\t%s\t%s\t%s\t%s", number(f.Rate, 2), number(f.P50Ms, 2), number(f.P99Ms, 2),
					number(f.MiddleCPU, 2), number(f.PathCPU, 2), number(f.MiddleMallocs, 2), number(f.ProgramMallocs, 2))
			}
		}
	}
	line("")
}

// number formats a figure, and one that was not measured as a dash.
func number(f float64, decimals int) string {
	if f == 0 {
		return "–"
	}
	return fmt.Sprintf("%.*f", decimals, f)
}

// writeLine writes a growth with a row for each point and a column for each transport.
func (r *report) writeLine(line func(string, ...any), name string) {
	points := r.line(name)
	if len(points) == 0 {
		return
	}
	// If the traffic stays the same, the ratios show the cost of the growth.
	alike := name == lineSessions || name == lineClaims
	head := name + "\tproxy, " + points[0].Unit
	for _, t := range transports {
		head += "\t" + string(t) + ", ratio"
		if alike {
			head += "\tto that with 1"
		}
	}
	line("%s", head)
	for _, p := range points {
		base, _ := p.by(proxyWay)
		text := p.At + "\t" + number(base.Figures.Rate, 0)
		for _, t := range transports {
			w, _ := p.by(string(t))
			text += "\t" + number(w.Ratio.Rate, 2)
			if alike {
				text += "\t" + number(fraction(points[0], p, string(t)), 2)
			}
		}
		line("%s", text)
	}
	line("")
}
