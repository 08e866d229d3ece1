package abuse

import (
	"fmt"
	"net"
	"sync"
	"testing"
)

// growth is how much more memory than the first half the second half of the leaving visitors may use, in
// bytes: ids are remembered, and garbage is collected late.
const growth = 32 << 20

// leaveAtOnce makes thousands of visitors send a request to a claim and leave without waiting for the answer,
// half of them with a reset.
func leaveAtOnce(t *testing.T, w *world) {
	half := sized(5_000, 50_000) / 2
	host := hostOf(w.polled.URL())
	leave := func() int64 {
		var attackers sync.WaitGroup
		const atOnce = 8
		for i := range atOnce {
			attackers.Go(func() {
				for n := range half / atOnce {
					c, err := attacker(i).dialer().Dial("tcp", w.gateway.address)
					if err != nil {
						t.Error(err)
						return
					}
					_, _ = fmt.Fprintf(c, "POST /left HTTP/1.1\r\nHost: %s\r\nContent-Length: 64\r\n\r\n%064d", host, n)
					if n%2 == 1 {
						_ = c.(*net.TCPConn).SetLinger(0)
					}
					_ = c.Close()
				}
			})
		}
		w.goOn("visitors leave", 50)
		attackers.Wait()
		until(t, "the exchanges of those who left end", func() bool {
			return w.gateway.metrics(t, "reversehttp_exchanges_open")[0] <= float64(len(w.crowds)*visitorsOfClaim)
		})
		now, _, err := w.gateway.resident()
		if err != nil {
			t.Fatal(err)
		}
		return now
	}
	first := leave()
	second := leave()
	t.Logf("resident: %s when %d had left, %s when as many more had", mib(float64(first)), half, mib(float64(second)))
	if second-first > growth {
		t.Errorf("resident grew from %s to %s with %d visitors more, want at most %s more", mib(float64(first)), mib(float64(second)), half, mib(growth))
	}
}
