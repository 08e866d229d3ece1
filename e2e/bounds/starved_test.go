package bounds

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	// At most how many goroutines compete with a starved program for one processor. Each runs for 10 ms at a
	// time.
	busy = 100
	// The rate of each of its connections, in bytes a second.
	slowRate = 100_000
)

// A program that gets little time to run, behind a slow line, still works: it claims once, keeps its link,
// and loses no answer. The gateway waits for it without a limit. One program has a claim for each transport,
// so that all have the same competition.
func TestAStarvedProgramBehindASlowLineLosesNothing(t *testing.T) {
	t.Parallel()
	transports := []string{"poll", "stream", "framed", "link"}
	gateway := start(t, "as-gateway")
	lines, addresses := make([]*line, len(transports)), make([]string, len(transports))
	for i := range transports {
		lines[i] = startLine(t, gateway.at, slowRate)
		addresses[i] = lines[i].address
	}
	program := start(t, "as-program", gateway.at,
		"--through="+strings.Join(addresses, ","), "--transport="+strings.Join(transports, ","), fmt.Sprintf("--busy=%d", busy))
	urls := strings.Fields(program.at)
	for i, transport := range transports {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			var visits sync.WaitGroup
			for _, size := range []int{50_000, 150_000} {
				visits.Go(func() {
					v := visit(t, urls[i], "GET", fmt.Sprintf("/down?size=%d", size), "")
					_ = v.SetDeadline(time.Now().Add(patience))
					resp, err := http.ReadResponse(v.reader, nil)
					if err != nil {
						t.Error(err)
						return
					}
					got, err := io.ReadAll(resp.Body)
					want := bytes.Repeat(noise, size/piece+1)[:size]
					if resp.StatusCode != http.StatusOK || err != nil || !bytes.Equal(got, want) {
						t.Errorf("status %d, %d bytes and %v, want 200 and %d", resp.StatusCode, len(got), err, size)
					}
				})
			}
			visits.Wait()
			links := int64(0)
			if transport == "link" {
				links = 1
			}
			if got := lines[i].claims.Load(); got != 1 {
				t.Errorf("%d claims, want one", got)
			}
			if got := lines[i].links.Load(); got != links {
				t.Errorf("%d links, want %d", got, links)
			}
		})
	}
}
