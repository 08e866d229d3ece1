package abuse

import (
	"flag"
	"os"
	"testing"
	"time"
)

var long = flag.Bool("long", false, "make attacks of full size")

func TestMain(m *testing.M) {
	flag.Parse()
	code := m.Run()
	if built.dir != "" {
		_ = os.RemoveAll(built.dir)
	}
	os.Exit(code)
}

// sized returns the size of an attack: the default, or with -long the full one.
func sized(short, full int) int {
	if *long {
		return full
	}
	return short
}

// patience bounds how long a test waits for an event. On an idle machine everything takes a small part of it.
const patience = 15 * time.Minute

// settle waits until a count reaches a number, or no longer changes: then an attack is at its height, even if
// the gateway keeps part of it off.
func settle(want int, count func() int) {
	const still = 3 * time.Second
	before, since := -1, time.Now()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for now := count(); now < want && time.Since(since) < still; now = count() {
		if now != before {
			before, since = now, time.Now()
		}
		<-tick.C
	}
}

// until waits for a condition.
func until(t *testing.T, what string, condition func() bool) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}
