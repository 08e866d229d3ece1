package h2spec

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/summerwind/h2spec/config"
	"github.com/summerwind/h2spec/generic"
	"github.com/summerwind/h2spec/hpack"
	"github.com/summerwind/h2spec/http2"
	"github.com/summerwind/h2spec/spec"
)

// atOnce is how many cases run at a time against each server.
const atOnce = 4

// Every case of h2spec, strict ones too, runs against a claim and against net/http with a handler of one line. The
// gateway must pass every case that net/http passes. The log lists the cases that one of them fails.
func TestTheGatewayPassesTheCasesThatNetHTTPPasses(t *testing.T) {
	for _, name := range []string{"h2c", "TLS"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inTLS := name == "TLS"
			var plain, public map[string]error
			var both sync.WaitGroup
			plainAt, publicAt := plainServer(t, inTLS), publicDoor(t, inTLS)
			both.Go(func() { plain = verdicts(plainAt) })
			both.Go(func() { public = verdicts(publicAt) })
			both.Wait()
			for id, tc := range allCases() {
				if plain[id] == nil && public[id] != nil { // perhaps only because the machine is busy
					c := *publicAt
					c.Timeout = patience
					public[id] = run(&c, tc)
				}
			}
			if len(plain) < 140 || len(plain) != len(public) {
				t.Fatalf("there were %d and %d cases, want the same number, at least 140", len(plain), len(public))
			}
			table := &strings.Builder{}
			w := tabwriter.NewWriter(table, 0, 0, 2, ' ', 0)
			_, _ = fmt.Fprintf(w, "passed of %d\t%d\t%d\n", len(plain), passed(plain), passed(public))
			for _, id := range slices.Sorted(maps.Keys(plain)) {
				if plain[id] == nil && public[id] != nil {
					t.Errorf("%s: net/http passes, the gateway does not: %v", id, public[id])
				}
				if plain[id] != nil || public[id] != nil {
					_, _ = fmt.Fprintf(w, "%s\t%s\t%s\n", id, verdict(plain[id]), verdict(public[id]))
				}
			}
			_ = w.Flush()
			t.Logf("what net/http and the gateway do not both pass:\n%s", table)
		})
	}
}

// verdicts runs every case against a server, and returns the error of each, or nil if it passes.
func verdicts(c *config.Config) map[string]error {
	var mu sync.Mutex // guards all
	all := map[string]error{}
	var running sync.WaitGroup
	room := make(chan struct{}, atOnce)
	for id, tc := range allCases() {
		room <- struct{}{}
		running.Go(func() {
			err := run(c, tc)
			mu.Lock()
			all[id] = err
			mu.Unlock()
			<-room
		})
	}
	running.Wait()
	return all
}

// allCases returns all cases by their names in h2spec.
func allCases() map[string]*spec.TestCase {
	all := map[string]*spec.TestCase{}
	for _, root := range []*spec.TestGroup{generic.Spec(), http2.Spec(), hpack.Spec()} {
		maps.Copy(all, cases(root))
	}
	return all
}

// cases returns the cases of a group and of its subgroups by their names in h2spec.
func cases(g *spec.TestGroup) map[string]*spec.TestCase {
	all := map[string]*spec.TestCase{}
	for i, tc := range slices.Concat(g.Tests, g.StrictTests) {
		all[fmt.Sprintf("%s/%d %s", g.ID(), i+1, tc.Desc)] = tc
	}
	for _, in := range g.Groups {
		maps.Copy(all, cases(in))
	}
	return all
}

// run runs a case on a connection of its own.
func run(c *config.Config, tc *spec.TestCase) error {
	conn, err := spec.Dial(c)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	return tc.Run(c, conn)
}

func passed(verdicts map[string]error) (n int) {
	for _, err := range verdicts {
		if err == nil {
			n++
		}
	}
	return n
}

func verdict(err error) string {
	switch {
	case err == nil:
		return "passes"
	case errors.Is(err, spec.ErrSkipped):
		return "skipped"
	}
	return "fails"
}

const (
	// timeout is how long a case waits for the server before it fails.
	timeout = 8 * time.Second
	// patience is how long a case waits that is repeated because it must not fail.
	patience = 5 * time.Minute
)
