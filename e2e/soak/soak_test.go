package main

import (
	"strings"
	"testing"
	"time"
)

func TestOnlyFiguresThatKeepGrowingAreNotFlat(t *testing.T) {
	for _, c := range []struct {
		name string
		of   func(i int, f *figures)
		want string
	}{
		{"nothing moves", func(int, *figures) {}, "\nFLAT"},
		{"all of it once, early", func(i int, f *figures) {
			if i > 5 {
				f.Heap, f.Goroutines = 900*mib, 900
			}
		}, "\nFLAT"},
		{"less than the slack", func(i int, f *figures) { f.Descriptors += float64(i) / 8 }, "\nFLAT"},
		{"descriptors", func(i int, f *figures) { f.Descriptors += float64(i) }, "descriptors"},
		{"goroutines", func(i int, f *figures) { f.Goroutines += float64(2 * i) }, "goroutines"},
		{"heap", func(i int, f *figures) { f.Heap += mib * float64(i) }, "heap MiB"},
		{"resident", func(i int, f *figures) { f.Resident += 2 * mib * float64(i) }, "resident MiB"},
	} {
		var table table
		var text strings.Builder
		for i := range 40 {
			f := figures{Resident: 30 * mib, Heap: 5 * mib, Goroutines: 20, Descriptors: 20}
			c.of(i, &f)
			table.add(&text, time.Duration(i)*time.Second, 0, [3]figures{f, f, f})
		}
		text.Reset()
		flat := table.judge(&text)
		if want := c.want == "\nFLAT"; flat != want {
			t.Errorf("%s: flat = %v, want %v", c.name, flat, want)
		}
		for line := range strings.Lines(text.String()) {
			if grows := strings.HasSuffix(line, "GROWS\n"); grows != strings.Contains(line, c.want) && c.want != "\nFLAT" && !strings.HasPrefix(line, "NOT") {
				t.Errorf("%s: %s", c.name, line)
			}
		}
	}
}

func TestTooFewSamplesAreNotFlat(t *testing.T) {
	if (&table{rows: make([][3]figures, 3)}).judge(t.Output()) {
		t.Error("3 samples are flat, want that they are too few")
	}
}
