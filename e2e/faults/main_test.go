package faults

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"
)

var (
	seedFlag      = flag.Uint64("seed", 0, "seed of exchanges and faults; 0 picks one")
	exchangesFlag = flag.Int("exchanges", 3_000, "exchanges under faults")
	transportFlag = flag.String("transport", "", "transport of the programs; empty: link, framed and stream")
	clusterFlag   = flag.Bool("cluster", false, "three gateways that are one, in place of one gateway")
	timeFlag      = flag.Duration("time", 0, "go on for so long instead of a number of exchanges")
)

// transportOf returns the transport of program i: all use that of the flag, or each another one.
func transportOf(i int) string {
	if *transportFlag != "" {
		return *transportFlag
	}
	return []string{"link", "framed", "stream"}[i%3]
}

// TestMain lets the test's binary also be a program that serves a claim.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == roleProgram {
		if err := serveProgram(os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	flag.Parse()
	code := m.Run()
	if built.dir != "" {
		_ = os.RemoveAll(built.dir)
	}
	os.Exit(code)
}

// seedOf returns the seed of a test and prints it.
func seedOf(t *testing.T) uint64 {
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Uint64N(1_000_000_000) + 1
	}
	t.Logf("seed %d", seed)
	return seed
}

// patience bounds how long a test waits for anything: far longer than it takes on a busy machine.
const patience = 15 * time.Minute

// until waits until a condition holds.
func until(t *testing.T, what string, condition func() bool) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}
