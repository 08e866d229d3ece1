package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestMain lets the test's binary be the handler and the proxy, as the bench's is.
func TestMain(m *testing.M) {
	if role(os.Args[1:]) {
		return
	}
	os.Exit(m.Run())
}

func TestARunGivesEveryFigure(t *testing.T) {
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		t.Skip(errNoProc)
	}
	o, err := parse([]string{"--rounds=2", "--requests=40", "--claims=5,20"}, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	r, err := measure(t.Context(), o, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Traffic) != 4 || len(r.Memory) != 2 || len(r.Goals) != 6 {
		t.Fatalf("%d cases, %d memories and %d goals, want 4, 2 and 6", len(r.Traffic), len(r.Memory), len(r.Goals))
	}
	for _, c := range r.Traffic {
		of := map[string]figures{"proxy": c.Proxy}
		for _, transport := range []string{"poll", "stream", "ptth"} {
			of[transport], of["ratio of "+transport] = c.by(transport).Figures, c.by(transport).Ratio
		}
		for name, f := range of {
			if f.RequestsPerSecond <= 0 || f.P50Ms <= 0 || f.P99Ms <= 0 {
				t.Errorf("%s at %d, %s: %+v, want figures above 0", c.Case, c.Concurrency, name, f)
			}
		}
	}
	for _, m := range r.Memory {
		if m.Goroutines < 1 {
			t.Errorf("%d parked claims: %v goroutines each, want those of their polls", m.Claims, m.Goroutines)
		}
	}

	var table, text bytes.Buffer
	if err := errors.Join(r.writeTable(&table), r.writeJSON(&text)); err != nil {
		t.Fatal(err)
	}
	for _, row := range []string{
		"GET 1 KiB at 1 ", "GET 1 KiB at 64 ", "echo 64 KiB of text at 16 ", "echo 64 KiB of bytes at 16 ", "5 ", "20 ",
		"p50 at concurrency 1,", "requests/s at concurrency 64,", "heap and stack KiB a parked claim, of 5 ", "resident KiB a parked claim, of 20 ",
	} {
		if !slices.ContainsFunc(strings.Split(table.String(), "\n"), func(line string) bool { return strings.HasPrefix(line, row) }) {
			t.Errorf("no row begins with %q in\n%s", row, &table)
		}
	}
	var again report
	if err := json.Unmarshal(text.Bytes(), &again); err != nil || !reflect.DeepEqual(&again, r) {
		t.Errorf("JSON gives %+v, %v, want %+v", again, err, *r)
	}
}

func TestMediansAndPercentiles(t *testing.T) {
	same := func(f float64) float64 { return f }
	for _, c := range []struct {
		rounds []float64
		want   float64
	}{{[]float64{3}, 3}, {[]float64{9, 1, 2}, 2}, {[]float64{4, 1, 2, 9}, 3}} {
		if got := medianOf(c.rounds, same); got != c.want {
			t.Errorf("median of %v = %v, want %v", c.rounds, got, c.want)
		}
	}
	var rising []time.Duration
	for i := range 200 {
		rising = append(rising, time.Duration(i+1)*time.Millisecond)
	}
	for p, want := range map[int]float64{50: 100, 99: 198} {
		if got := percentile(rising, p); got != want {
			t.Errorf("percentile %d of 1…200 ms = %v, want %v", p, got, want)
		}
	}
	if got := percentile(rising[:1], 50); got != 1 {
		t.Errorf("percentile 50 of 1 ms = %v, want 1", got)
	}
}

func TestFlagsThatMakeNoSenseAreRefused(t *testing.T) {
	for _, arg := range []string{"--rounds=0", "--requests=0", "--claims=5,5", "--claims=x", "--unknown"} {
		if _, err := parse([]string{arg}, t.Output()); err == nil {
			t.Errorf("%s is taken, want an error", arg)
		}
	}
}
