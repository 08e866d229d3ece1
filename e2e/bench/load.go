package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// load is a request that is repeated on all ways.
type load struct {
	name        string
	concurrency int
	method      string
	target      string
	fields      string
	content     content
	want        content
	// bytes are the bytes of an exchange. Above 0, the rate is in MB/s instead of exchanges.
	bytes int64
}

// title names the load in the table.
func (l load) title() string { return fmt.Sprintf("%s at %d", l.name, l.concurrency) }

// warm reports whether requests precede the measurement: not if a request takes long.
func (l load) warm() bool { return l.want.size+l.content.size < 4<<20 }

// work returns the load as a work that is measured for the given time.
func (l load) work(each time.Duration) work {
	w := work{name: l.title(), unit: "requests/s", measure: func(_ context.Context, w way) (figures, error) { return l.measure(w, each) }}
	if l.bytes > 0 {
		w.name, w.unit = l.name, "MB/s"
	}
	return w
}

// measure sends requests on one way for some time, after some that warm up.
func (l load) measure(w way, each time.Duration) (f figures, err error) {
	request := requestOf(l.method, l.target, w.host, l.fields, l.content)
	visitors := make([]*visitor, l.concurrency)
	for i := range visitors {
		if visitors[i], err = dial(w.address, 2*time.Minute); err != nil {
			return f, err
		}
		defer visitors[i].close()
	}
	if l.warm() {
		if _, err = l.visit(visitors, request, within(each/10)); err != nil {
			return f, err
		}
	}
	// Reading the counts of allocations allocates, so it reads them twice before, to know how much.
	var look, before expense
	if err = w.allocated(&look); err != nil {
		return f, err
	}
	if before, err = w.spent(); err != nil {
		return f, err
	}
	if err = w.allocated(&before); err != nil {
		return f, err
	}
	begun := time.Now()
	took, err := l.visit(visitors, request, within(each))
	if err != nil {
		return f, err
	}
	elapsed := time.Since(begun)
	after, err := w.spent()
	if err != nil {
		return f, err
	}
	if err = w.allocated(&after); err != nil {
		return f, err
	}
	n := float64(len(took))
	per10k := func(d time.Duration) float64 { return d.Seconds() * 10_000 / n }
	mallocs := func(look, before, after float64) float64 { return max(0, (after-before)-(before-look)) / n }
	f = figures{
		Rate:  n / elapsed.Seconds(),
		P50Ms: percentile(took, 50), P99Ms: percentile(took, 99),
		MiddleCPU: per10k(after.middleCPU - before.middleCPU), PathCPU: per10k(after.middleCPU - before.middleCPU + after.programCPU - before.programCPU),
		MiddleMallocs:  mallocs(look.middleMallocs, before.middleMallocs, after.middleMallocs),
		ProgramMallocs: mallocs(look.programMallocs, before.programMallocs, after.programMallocs),
	}
	if len(w.program) == 0 {
		f.PathCPU = 0
	}
	if l.bytes > 0 {
		f.Rate *= float64(l.bytes) / 1e6
	}
	return f, nil
}

// within returns a function that reports true until d has passed.
func within(d time.Duration) func() bool {
	end := time.Now().Add(d)
	return func() bool { return time.Now().Before(end) }
}

// times returns a function that reports true n times.
func times(n int) func() bool {
	var left atomic.Int64
	left.Store(int64(n))
	return func() bool { return left.Add(-1) >= 0 }
}

// visit makes each visitor send requests as long as there are more, and at least one. It returns their durations,
// sorted.
func (l load) visit(visitors []*visitor, r request, more func() bool) ([]time.Duration, error) {
	took := make([][]time.Duration, len(visitors))
	faults := make([]error, len(visitors))
	var failed atomic.Bool
	var all sync.WaitGroup
	for i, v := range visitors {
		all.Go(func() {
			took[i] = make([]time.Duration, 0, 1024)
			for first := true; first || more() && !failed.Load(); first = false {
				begun := time.Now()
				err := v.visit(r, l.want)
				took[i] = append(took[i], time.Since(begun))
				if err != nil {
					faults[i] = err
					failed.Store(true)
					return
				}
			}
		})
	}
	all.Wait()
	for _, err := range faults {
		if err != nil {
			return nil, err
		}
	}
	merged := slices.Concat(took...)
	slices.Sort(merged)
	return merged, nil
}

// percentile returns the p-th percentile of sorted times, in milliseconds.
func percentile(rising []time.Duration, p int) float64 {
	i := (len(rising)*p+99)/100 - 1
	return float64(rising[max(i, 0)]) / float64(time.Millisecond)
}
