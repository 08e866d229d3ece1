package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"
)

// report has the results of a run.
type report struct {
	Date     time.Time `json:"date"`
	Machine  string    `json:"machine"`
	Versions []string  `json:"versions"`
	// Load is the load average of the machine when the run began.
	Load    string   `json:"load,omitempty"`
	Rounds  int      `json:"rounds"`
	EachMs  int64    `json:"eachMs"`
	Seconds float64  `json:"seconds"`
	Rows    []row    `json:"rows"`
	Memory  []memory `json:"memory,omitempty"`
	Goals   []goal   `json:"goals,omitempty"`
	// Skipped lists what could not be measured here, with the reason.
	Skipped []string `json:"skipped,omitempty"`
}

func newReport(o *options) *report {
	r := &report{
		Date:     time.Now().UTC().Truncate(time.Second),
		Machine:  fmt.Sprintf("%s, %d CPUs, %s/%s", processor(), runtime.NumCPU(), runtime.GOOS, runtime.GOARCH),
		Versions: []string{runtime.Version()},
		Rounds:   o.rounds, EachMs: o.each.Milliseconds(),
	}
	if b, err := os.ReadFile("/proc/loadavg"); err == nil {
		r.Load, _, _ = strings.Cut(string(b), " ")
	}
	for _, name := range []string{nodeWay, pageWay} {
		if path, err := find(name); err == nil {
			if out, err := exec.Command(path, "--version").Output(); err == nil {
				version, _, _ := strings.Cut(strings.TrimSpace(string(out)), " built on")
				if name == nodeWay {
					version = "Node " + version
				}
				r.Versions = append(r.Versions, version)
			}
		}
	}
	return r
}

// processor returns the name of the processor, or its architecture.
func processor() string {
	f, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	defer func() { _ = f.Close() }()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if name, value, _ := strings.Cut(lines.Text(), ":"); strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

// skip notes that something was not measured.
func (r *report) skip(what string, why error) {
	if text := what + ": " + why.Error(); !slices.Contains(r.Skipped, text) {
		r.Skipped = append(r.Skipped, text)
	}
}

func (r *report) writeJSON(out io.Writer) error {
	e := json.NewEncoder(out)
	e.SetIndent("", "  ")
	return e.Encode(r)
}
