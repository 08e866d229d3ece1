package faults

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"reversehttp/schema"
)

// Two programs share a token and hold requests, and one of them is killed. If the machine is too slow to have all
// requests held in time, the test begins again with a longer timeout.
func TestAProgramTakesOverWhatAnotherMayNotFinish(t *testing.T) {
	t.Parallel()
	for answer := 15 * time.Second; !takesOver(t, answer); answer *= 4 {
		t.Logf("requests were not held within a third of %v", answer)
	}
}

// takesOver reports whether all requests were held early enough to judge the takeover.
func takesOver(t *testing.T, answer time.Duration) bool {
	g := startGateway(t, fmt.Sprint("--acknowledge=", answer/5), fmt.Sprint("--answer=", answer), "--no-poller=10m", "--lease=10m", "--wait=3s", "--unacknowledged=100ms")
	l := newLedger()
	straight := startProxy(t, g.address, fair(0).plan)
	twins := [2]*program{}
	for i, name := range [2]string{"dies", "lives"} {
		twins[i] = startProgram(t, g, straight, mine, name, transportOf(i), l.hear)
		t.Cleanup(func() {
			if log := twins[i].kill(); log != "" {
				t.Errorf("program %s logs:\n%s", name, log)
			}
		})
	}
	until(t, "both poll", func() bool { return g.metrics()["reversehttp_polls_parked"] == 2 })

	begun := time.Now()
	late := func() bool { return time.Since(begun) > answer/3 }
	var visits sync.WaitGroup
	had := map[string]int{} // by program and method
	for n := range uint64(24) {
		x := newExchange(1, n)
		x.want, x.size, x.chunked = want{held, 100}, 100, false
		// The gateway gives requests to the programs in turn, so each program gets both methods.
		if x.method = http.MethodPost; n%4 < 2 {
			x.method, x.size = http.MethodGet, 0
		}
		x.sum = hash(x.content())
		visits.Go(func() {
			v := &visitor{host: g.host(), dial: g.straight, fresh: true}
			l.note(x, v.visit(x))
		})
		until(t, "a handler has the request", func() bool { return len(l.runs(x.key)) == 1 || late() })
		if late() {
			twins[0].kill()
			twins[1].kill()
			g.kill()
			visits.Wait()
			return false
		}
		name, _, _ := strings.Cut(l.runs(x.key)[0].run, "-")
		had[name+" "+x.method]++
	}
	l.killed()
	twins[0].kill()
	visits.Wait()
	m := g.idle(1)
	f := l.check(t, schema.CodeSessionLost, schema.CodeHandlerTimeout)
	t.Logf("programs had %v; %v", had, f)

	if had["dies POST"] == 0 || had["dies GET"] == 0 || had["lives POST"]+had["lives GET"] == 0 {
		t.Fatalf("the programs had %v, want requests of both methods at each", had)
	}
	for key, o := range l.got {
		x, runs := l.sent[key], l.runs(key)
		killed := strings.HasPrefix(runs[0].run, "dies-")
		switch {
		case killed && x.method == http.MethodPost:
			if o.code != schema.CodeSessionLost || o.status != http.StatusBadGateway || len(runs) != 1 {
				t.Errorf("POST that a killed program had: %+v after %+v, want 502 session_lost after one run", o, runs)
			}
		case killed:
			if o.end != answered || !strings.HasPrefix(o.run, "lives-") || len(runs) != 2 || runs[1].attempt != 2 {
				t.Errorf("GET that a killed program had: %+v after %+v, want the answer of the other at attempt 2", o, runs)
			}
		case o.code != schema.CodeHandlerTimeout || o.handed != "?1":
			t.Errorf("request that is never answered: %+v, want 504 handler_timeout with handed=?1", o)
		}
	}
	for what, n := range map[string][2]int{
		"session_lost":    {m.ended("failed", "session_lost"), had["dies POST"]},
		"handler_timeout": {m.ended("timed_out", "handler_timeout"), had["lives POST"] + had["lives GET"]},
		"done":            {m.ended("done", ""), had["dies GET"]},
		"all":             {m.sum("reversehttp_exchanges_total"), 24},
	} {
		if n[0] != n[1] {
			t.Errorf("the gateway counts %d exchanges as %s, want %d", n[0], what, n[1])
		}
	}
	return true
}
