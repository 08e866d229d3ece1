package abuse

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// honest are the visitors of one claim that do no harm: each sends one request after the other, and checks
// the answers.
type honest struct {
	claim string // name of the claim for people
	url   string

	asked, served atomic.Int64
	lost          tally
	stop          chan struct{}
	visitors      sync.WaitGroup

	mu   sync.Mutex // guards took
	took []time.Duration
}

const (
	// How many visitors a claim has, and how long each rests after an answer.
	visitorsOfClaim = 3
	rest            = 20 * time.Millisecond
	// After this many lost visits a test continues at once, since it has failed.
	lostEnough = visitorsOfClaim
)

// visitors begins visits to a claim, by visitors whose addresses begin with first.
func visitors(g *gateway, claim, url string, first int) *honest {
	h := &honest{claim: claim, url: url, stop: make(chan struct{})}
	for i := range visitorsOfClaim {
		transport := neighbour(first + i).transport(g)
		client := &http.Client{Transport: transport, Timeout: visitTime}
		h.visitors.Go(func() {
			defer transport.CloseIdleConnections()
			for n := 0; ; n++ {
				h.visit(client, fmt.Sprintf("%d/%d", i, n), n)
				select {
				case <-time.After(rest):
				case <-h.stop:
					return
				}
			}
		})
	}
	return h
}

// visit sends the request of a key. Some have content, and some end their connection.
func (h *honest) visit(client *http.Client, key string, n int) {
	method, content := http.MethodGet, []byte(nil)
	if n%2 == 1 {
		method, content = http.MethodPost, []byte("content of "+key)
	}
	r, err := http.NewRequest(method, h.url+key, bytes.NewReader(content))
	if err != nil {
		panic(err)
	}
	r.Close = n%4 == 3
	h.asked.Add(1)
	since := time.Now()
	end := h.check(client, r, rightAnswer("/"+key, content))
	if end != "" {
		h.lost.add(end)
		return
	}
	h.served.Add(1)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.took = append(h.took, time.Since(since))
}

// check sends a request, and describes what is wrong with its answer; empty means nothing.
func (h *honest) check(client *http.Client, r *http.Request, want []byte) string {
	resp, err := client.Do(r)
	if err != nil {
		return endOfError(err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return endOfError(err)
	case resp.StatusCode != http.StatusOK:
		return endOf(resp.StatusCode, got)
	case !bytes.Equal(got, want):
		return fmt.Sprintf("200 with %d bytes, not the %d that are right", len(got), len(want))
	}
	return ""
}

// end makes the visitors leave after their current visits, and waits for them.
func (h *honest) end() {
	select {
	case <-h.stop:
	default:
		close(h.stop)
	}
	h.visitors.Wait()
}

// ended counts the visits that are over.
func (h *honest) ended() int64 { return h.served.Load() + int64(h.lost.total()) }

// percentiles returns the median and the 99th percentile of the times of served visits.
func (h *honest) percentiles() (p50, p99 time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.took) == 0 {
		return 0, 0
	}
	slices.Sort(h.took)
	at := func(percent int) time.Duration {
		return h.took[(len(h.took)-1)*percent/100].Round(10 * time.Microsecond)
	}
	return at(50), at(99)
}

// rightAnswer is the answer of one program; all answers differ.
func rightAnswer(path string, content []byte) []byte {
	sum := sha256.Sum256(append([]byte(path+"\n"), content...))
	return bytes.Repeat([]byte(hex.EncodeToString(sum[:])), 16)
}

// largeAnswer is the content of largePath, a little more than 1 MiB.
var largeAnswer = bytes.Repeat([]byte("large\n"), 180_000)

const largePath = "/large"

// answer is the handler of honest programs.
func answer(w http.ResponseWriter, r *http.Request) {
	content, err := io.ReadAll(r.Body)
	switch {
	case err != nil: // the visitor left, or is too slow
		panic(http.ErrAbortHandler)
	case strings.HasPrefix(r.URL.Path, largePath):
		_, _ = w.Write(largeAnswer)
	default:
		_, _ = w.Write(rightAnswer(r.URL.Path, content))
	}
}
