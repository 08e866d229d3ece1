package main

import (
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"text/tabwriter"
)

// report is all that a run tells.
type report struct {
	Go       string       `json:"go"`
	Platform string       `json:"platform"`
	CPUs     int          `json:"cpus"`
	Rounds   int          `json:"rounds"`
	Requests int          `json:"requests"`
	Seconds  float64      `json:"seconds"`
	Traffic  []comparison `json:"traffic"`
	Memory   []memory     `json:"memory"`
	Goals    []goal       `json:"goals"`
}

// goal is what a figure should be, and is.
type goal struct {
	Name  string  `json:"name"`
	Bound string  `json:"bound"`
	Is    float64 `json:"is"`
	Met   bool    `json:"met"`
}

// fastest is the transport that programs have by themselves where nothing is in its way.
const fastest = "ptth"

func newReport(o *options) *report {
	return &report{
		Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH, CPUs: runtime.NumCPU(),
		Rounds: o.rounds, Requests: o.requests,
	}
}

// judge holds the figures against the goals.
func (r *report) judge() {
	for _, c := range r.Traffic {
		switch {
		case c.Case == "GET 1 KiB" && c.Concurrency == 64:
			is := c.by(fastest).Ratio.RequestsPerSecond
			r.Goals = append(r.Goals, goal{"requests/s at concurrency 64, gateway by " + fastest + " to proxy", "at least 1.00", is, is >= 1})
		case c.Case == "GET 1 KiB" && c.Concurrency == 1:
			is := c.by(fastest).Ratio.P50Ms
			r.Goals = append(r.Goals, goal{"p50 at concurrency 1, gateway by " + fastest + " to proxy", "at most 1.50", is, is <= 1.5})
		}
	}
	for _, m := range r.Memory {
		of := fmt.Sprintf(" KiB a parked claim, of %d", m.Claims)
		live := m.HeapKiB + m.StackKiB
		r.Goals = append(r.Goals, goal{"heap and stack" + of, "at most 20.00", live, live <= 20}, goal{"resident" + of, "at most 20.00", m.ResidentKiB, m.ResidentKiB <= 20})
	}
}

func (r *report) writeJSON(out io.Writer) error {
	e := json.NewEncoder(out)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

func (r *report) writeTable(out io.Writer) error {
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	line := func(format string, args ...any) { _, _ = fmt.Fprintf(t, format+"\n", args...) }
	line("%s, %s, %d CPUs; medians of %d rounds of %d requests; %.0f s", r.Go, r.Platform, r.CPUs, r.Rounds, r.Requests, r.Seconds)
	line("")
	line("case\tway\trequests/s\tp50 ms\tp99 ms\tCPU s of it\tCPU s with handler")
	for _, c := range r.Traffic {
		row := func(name, way, format string, f figures) {
			line("%s\t%s\t"+format+"\t%.2f\t%.2f\t%.2f\t%.2f", name, way, f.RequestsPerSecond, f.P50Ms, f.P99Ms, f.MiddleCPU, f.PathCPU)
		}
		row(fmt.Sprintf("%s at %d", c.Case, c.Concurrency), "proxy", "%.0f", c.Proxy)
		for _, t := range c.Gateway {
			row("", t.Transport, "%.0f", t.Figures)
			row("", "  ratio", "%.2f", t.Ratio)
		}
	}
	line("")
	line("CPU s: for 10,000 requests; of the gateway or proxy alone, and with the handler's process")
	line("")
	line("parked claims\tresident KiB\theap KiB\tstack KiB\tgoroutines, each for one claim")
	for _, m := range r.Memory {
		line("%d\t%.1f\t%.1f\t%.1f\t%.2f", m.Claims, m.ResidentKiB, m.HeapKiB, m.StackKiB, m.Goroutines)
	}
	line("")
	line("goal\tbound\tis\tso far")
	for _, g := range r.Goals {
		met := "not yet"
		if g.Met {
			met = "met"
		}
		line("%s\t%s\t%.2f\t%s", g.Name, g.Bound, g.Is, met)
	}
	return t.Flush()
}
