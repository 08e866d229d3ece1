package main

import (
	"fmt"
	"io"
	"slices"
	"time"
)

// column is one figure of one process over time.
type column struct {
	process, figure string
	of              func([3]figures) float64
	// slack is how much it may grow in addition to a tenth.
	slack float64
}

const mib = 1 << 20

var columns = func() (all []column) {
	for i, process := range []string{"gateway", "sdk-go", "node"} {
		slack := 4.0 * mib
		if process == "node" {
			slack = 16 * mib // V8 takes its time to give pages back
		}
		all = append(all,
			column{process, "resident MiB", func(r [3]figures) float64 { return r[i].Resident }, slack},
			column{process, "heap MiB", func(r [3]figures) float64 { return r[i].Heap }, slack},
			column{process, "descriptors", func(r [3]figures) float64 { return r[i].Descriptors }, 12})
		if process != "node" {
			all = append(all, column{process, "goroutines", func(r [3]figures) float64 { return r[i].Goroutines }, 24})
		}
	}
	return all
}()

func (c column) text(v float64) string {
	if c.figure == "resident MiB" || c.figure == "heap MiB" {
		return fmt.Sprintf("%.1f", v/mib)
	}
	return fmt.Sprintf("%.0f", v)
}

// table has all samples.
type table struct{ rows [][3]figures }

func (t *table) writeHead(out io.Writer) {
	_, _ = fmt.Fprintf(out, "%6s %10s", "", "")
	for _, c := range columns {
		_, _ = fmt.Fprintf(out, " %12s", c.process)
	}
	_, _ = fmt.Fprintf(out, "\n%6s %10s", "s", "answers")
	for _, c := range columns {
		_, _ = fmt.Fprintf(out, " %12s", c.figure)
	}
	_, _ = fmt.Fprintln(out)
}

func (t *table) add(out io.Writer, at time.Duration, answered int64, row [3]figures) {
	t.rows = append(t.rows, row)
	_, _ = fmt.Fprintf(out, "%6.0f %10d", at.Seconds(), answered)
	for _, c := range columns {
		_, _ = fmt.Fprintf(out, " %12s", c.text(c.of(row)))
	}
	_, _ = fmt.Fprintln(out)
}

// judge compares the median of the second quarter with that of the last one. By the second quarter, everything that
// grows only at the beginning has its size.
func (t *table) judge(out io.Writer) (flat bool) {
	n := len(t.rows)
	if n < 4 {
		_, _ = fmt.Fprintln(out, "NOT FLAT: there are too few samples to tell")
		return false
	}
	flat = true
	for _, c := range columns {
		before, after := c.median(t.rows[n/4:n/2]), c.median(t.rows[n-n/4:])
		word := "flat"
		if after > before*1.1+c.slack {
			word, flat = "GROWS", false
		}
		_, _ = fmt.Fprintf(out, "%-8s %-13s %10s in the second quarter, %10s in the last: %s\n", c.process, c.figure, c.text(before), c.text(after), word)
	}
	if !flat {
		_, _ = fmt.Fprintln(out, "NOT FLAT")
		return false
	}
	_, _ = fmt.Fprintln(out, "FLAT")
	return true
}

func (c column) median(rows [][3]figures) float64 {
	values := make([]float64, len(rows))
	for i, r := range rows {
		values[i] = c.of(r)
	}
	slices.Sort(values)
	return values[len(values)/2]
}
