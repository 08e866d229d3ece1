package abuse

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	reversehttp "reversehttp/sdk-go"
)

// sender is a visitor whose content arrives bit by bit.
type sender struct {
	net.Conn
	chunked bool
	left    int // bytes still to send
}

// announce connects and sends the head of a POST with content of a size to the host of a claim.
func (s source) announce(t *testing.T, g *gateway, host, path string, size int, chunked bool) *sender {
	t.Helper()
	c := &sender{s.dial(t, g), chunked, size}
	framing := fmt.Sprintf("Content-Length: %d", size)
	if chunked {
		framing = "Transfer-Encoding: chunked"
	}
	if _, err := fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: %s\r\n%s\r\n\r\n", path, host, framing); err != nil {
		t.Fatal(err)
	}
	return c
}

// send sends a little of the content, and its end after the last byte.
func (c *sender) send(little int) error {
	little = min(little, c.left)
	c.left -= little
	piece := strings.Repeat("s", little)
	if c.chunked {
		piece = fmt.Sprintf("%x\r\n%s\r\n", little, piece)
		if c.left == 0 {
			piece += "0\r\n\r\n"
		}
	}
	_, err := io.WriteString(c, piece)
	return err
}

// response waits for the answer.
func (c *sender) response() (*http.Response, error) {
	return http.ReadResponse(bufio.NewReader(c), &http.Request{Method: http.MethodPost})
}

// What slow visitors send.
const (
	slowSize  = 1_000_000 // bytes
	slowPiece = 8         // bytes
	slowEvery = time.Second
)

// sendSlowly makes many visitors, each from its own address, send content to a claim that honest visitors
// also use.
func sendSlowly(t *testing.T, w *world) {
	host := hostOf(w.polled.URL())
	ctx, cancel := context.WithCancel(t.Context())
	var at sync.WaitGroup
	defer at.Wait()
	defer cancel()
	var ends tally
	senders := make([]*sender, 2000)
	for i := range senders {
		c := attacker(i).announce(t, w.gateway, host, "/slow", slowSize, i%2 == 1)
		defer c.Close()
		senders[i] = c
		at.Go(func() {
			if end := endOfResponse(c.response()); ctx.Err() == nil {
				ends.add(end)
			}
		})
		context.AfterFunc(ctx, func() { _ = c.Close() })
		_ = c.send(slowPiece)
		// None is slow in its first 100 ms. A gateway that could not run meanwhile would see so many at once
		// that it could evict none.
		if i%100 == 99 {
			w.goOn("slow visitors come", 10)
		}
	}
	at.Go(func() {
		tick := time.NewTicker(slowEvery)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
			for _, c := range senders {
				_ = c.send(slowPiece) // it may have been answered already
			}
		}
	})
	settle(len(senders), func() int {
		return int(w.gateway.metrics(t, "reversehttp_exchanges_open")[0]) + ends.total()
	})
	w.goOn("content comes slowly", 50)
	t.Logf("%d slow visitors, answered so far: %s", len(senders), &ends)
	if other := ends.total("408 too_slow", "503 queue_full", "429 rate_limited", "429 quota_exceeded"); other > 0 {
		t.Errorf("%d slow visitors were answered otherwise than 408 too_slow, 503 queue_full or 429: %s", other, &ends)
	}
}

// Visitors have as long for content as the claim has for an answer, and a second more for each 1,024 bytes
// received, however the content is framed.
func TestContentHasTheTimeOfItsClaim(t *testing.T) {
	t.Parallel()
	w := found(t)
	patient := w.serve("patient", reversehttp.TransportPoll, 0)
	hasty := w.serve("hasty", reversehttp.TransportPoll, 2*time.Second)
	every := time.Duration(sized(1_500, 4_000)) * time.Millisecond
	var visitors sync.WaitGroup
	defer w.gateway.judge(t)
	defer visitors.Wait()
	for _, c := range []struct {
		name        string
		claim       *reversehttp.Session
		size, piece int
		every       time.Duration
		want        string
	}{
		{"of a claim with the default time", patient, 63, 7, every, "200"},
		{"of a claim with 2 s", hasty, slowSize, slowPiece, slowEvery, "408 too_slow"},
	} {
		for framing, chunked := range map[string]bool{"with their length": false, "in chunks": true} {
			v := attacker(0).announce(t, w.gateway, hostOf(c.claim.URL()), "/content", c.size, chunked)
			visitors.Go(func() {
				defer v.Close()
				if got := v.pace(c.piece, c.every); got != c.want {
					t.Errorf("visitor %s, %d bytes %s, %d bytes every %v: %s when %d were sent; want %s",
						c.name, c.size, framing, c.piece, c.every, got, c.size-v.left, c.want)
				}
			})
		}
	}
}

// pace sends content at a pace until the answer comes, and returns the name of that.
func (c *sender) pace(piece int, every time.Duration) string {
	size := c.left
	answered := make(chan string, 1)
	go func() { answered <- endOfAnswer("/content", []byte(strings.Repeat("s", size)), c) }()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		if c.left > 0 {
			_ = c.send(piece) // the answer reports failures
		}
		select {
		case <-tick.C:
		case end := <-answered:
			return end
		}
	}
}

// endOfAnswer waits for the answer to content at a path, and names it; 200 is right.
func endOfAnswer(path string, content []byte, c *sender) string {
	resp, err := c.response()
	if err != nil || resp.StatusCode != http.StatusOK {
		return endOfResponse(resp, err)
	}
	got, err := io.ReadAll(resp.Body)
	if want := rightAnswer(path, content); err != nil || !bytes.Equal(got, want) {
		return fmt.Sprintf("200 with %d bytes and %v, not the %d that are right", len(got), err, len(want))
	}
	return "200"
}
