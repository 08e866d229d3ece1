package abuse

import (
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	reversehttp "reversehttp/sdk-go"
)

// world is a public gateway that somebody attacks, with honest programs and their visitors.
type world struct {
	t       *testing.T
	gateway *gateway
	// linked and polled are each served by a program of sdk-go, by a link and by batches.
	linked, polled *reversehttp.Session
	// crowds are all honest visitors, those of the two claims first.
	crowds []*honest
	watch  *watch
}

// warm is how many visits of each claim precede an attack.
const warm = 20

// found starts a gateway with flags only.
func found(t *testing.T, flags ...string) *world {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("it takes the whole of 127.0.0.0/8, and /proc")
	}
	return &world{t: t, gateway: startGateway(t, flags...)}
}

// build starts a gateway with flags, the honest programs, and their visitors.
func build(t *testing.T, flags ...string) *world {
	t.Helper()
	w := found(t, flags...)
	w.linked = w.serve("linked", reversehttp.TransportLink, 0)
	w.polled = w.serve("polled", reversehttp.TransportPoll, 0)
	w.welcome("the claim with a link", w.linked.URL())
	w.welcome("the claim that is polled", w.polled.URL())
	w.goOn("before the attack", warm)
	w.watch = watchOver(t, w.gateway)
	return w
}

// serve claims a label and answers as honest programs do, until the test ends. A
// timeout of 0 is the gateway's default.
func (w *world) serve(label string, by reversehttp.Transport, timeout time.Duration) *reversehttp.Session {
	w.t.Helper()
	client := &http.Client{Transport: programs.transport(w.gateway)}
	s, err := reversehttp.Claim(w.t.Context(), "http://"+domain, &reversehttp.Options{
		Label: label, Timeout: timeout, Transport: by, Client: client, Concurrency: -1,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = s.Serve(http.HandlerFunc(answer))
	}()
	w.t.Cleanup(func() {
		_ = s.Close()
		<-served
	})
	return s
}

// welcome begins honest visits to a claim.
func (w *world) welcome(claim, url string) *honest {
	h := visitors(w.gateway, claim, url, len(w.crowds)*visitorsOfClaim)
	w.t.Cleanup(h.end)
	w.crowds = append(w.crowds, h)
	return h
}

// goOn waits until every claim had a number of further visits, or lost enough to fail.
func (w *world) goOn(when string, visits int64) {
	w.t.Helper()
	for _, h := range w.crowds {
		want := h.ended() + visits
		until(w.t, when+": visits to "+h.claim+" end", func() bool {
			return h.ended() >= want || h.lost.total() >= lostEnough
		})
	}
}

// judge ends the world, logs its figures, and fails the test if the attack did harm.
func (w *world) judge() {
	w.t.Helper()
	for _, h := range w.crowds {
		h.end()
		p50, p99 := h.percentiles()
		w.t.Logf("%s: %d visits, %d served; median %v, 99th percentile %v", h.claim, h.asked.Load(), h.served.Load(), p50, p99)
		if h.lost.total() > 0 {
			w.t.Errorf("honest visitors of %s: %d of %d lost (%s), want none", h.claim, h.lost.total(), h.asked.Load(), &h.lost)
		}
	}
	w.watch.judge(w.t)
	w.gateway.judge(w.t)
}

// hostOf returns the authority of a public URL.
func hostOf(url string) string {
	return strings.TrimSuffix(strings.TrimPrefix(url, "http://"), "/")
}
