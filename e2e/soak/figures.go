package main

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// figures are the measurements of a process at one moment.
type figures struct {
	// Resident is the resident memory that the kernel counts, Heap the size of the heap, in bytes.
	Resident float64 `json:"-"`
	Heap     float64 `json:"heap"`
	// Goroutines; 0 in Node.
	Goroutines  float64 `json:"goroutines"`
	Descriptors float64 `json:"-"`
}

// fromProc fills in the figures that the kernel has.
func (p *process) fromProc(f *figures) error {
	dir := "/proc/" + strconv.Itoa(p.cmd.Process.Pid)
	statm, err := os.ReadFile(dir + "/statm")
	if err != nil {
		return fmt.Errorf("%s: %w", p.name, err)
	}
	pages, err := strconv.ParseFloat(strings.Fields(string(statm))[1], 64)
	if err != nil {
		return err
	}
	open, err := os.ReadDir(dir + "/fd")
	f.Resident, f.Descriptors = pages*float64(os.Getpagesize()), float64(len(open))
	return err
}

// fromMetrics fills in the figures that the gateway reports.
func (w *world) fromMetrics(f *figures) error {
	resp, err := w.client.Get(w.origin + "/metrics")
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	found := 0
	members := map[string]*float64{"go_memstats_heap_alloc_bytes": &f.Heap, "go_goroutines": &f.Goroutines}
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), " ")
		if to := members[name]; to != nil {
			if *to, err = strconv.ParseFloat(value, 64); err != nil {
				return err
			}
			found++
		}
	}
	if found != len(members) {
		return fmt.Errorf("the metrics have %d of the %d that are needed", found, len(members))
	}
	return nil
}
