package family

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"reversehttp/server/budget"
	"reversehttp/server/gateway"
)

// chunked is content of unknown length, in chunks of 64 KiB.
func chunked(content string) string {
	var b strings.Builder
	for len(content) > 0 {
		n := min(len(content), 64<<10)
		fmt.Fprintf(&b, "%x\r\n%s\r\n", n, content[:n])
		content = content[n:]
	}
	return b.String() + "0\r\n\r\n"
}

const chunkedUpload = "POST /up HTTP/1.1\r\nHost: demo.localhost:8080\r\nTransfer-Encoding: chunked\r\n\r\n"

func TestContentOfUnknownLengthIsCollectedForAProgramOf2008(t *testing.T) {
	for name, content := range map[string]string{
		"none": "", "short": "hello", "large": strings.Repeat("0123456789abcdef", mostCollected/16),
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, gateway.Options{}, func(b *bubble) {
				at := b.register("name=demo&token=t0")
				v := b.begin(chunkedUpload + chunked(content))
				got := b.ask(get(at))
				head, body, _ := strings.Cut(got.body, "\r\n\r\n")
				if body != content || !strings.Contains(head, fmt.Sprintf("\r\nContent-Length: %d", len(content))) || strings.Contains(head, "Transfer-Encoding") {
					t.Errorf("request with %d bytes %.300q, want %d and its length", len(body), head, len(content))
				}
				held := b.g.Registry().Options().Budget.Held(budget.Memory)
				b.reply(at, okay)
				v.wait().is(t, 200, "ok")
				if held > 1<<20 {
					t.Errorf("%d bytes are held once the program has the request, want what it collected given back", held)
				}
			})
		})
	}
}

func TestContentBeyondTheBoundOfCollectingIsA413(t *testing.T) {
	inBubble(t, gateway.Options{}, func(b *bubble) {
		at := b.register("name=demo&token=t0")
		poll := b.begin(get(at))
		v := b.begin(chunkedUpload + chunked(strings.Repeat("x", mostCollected+1)))
		got := v.wait()
		if got.StatusCode != 413 || got.code() != "content_too_large" || !strings.Contains(got.body, "8388608 bytes. Send it with Content-Length") {
			t.Errorf("visitor got %d %s, want 413 with the reason", got.StatusCode, got.body)
		}
		if status := got.Header.Get("Proxy-Status"); !strings.Contains(status, "handed=?0") {
			t.Errorf("Proxy-Status = %q, want that no handler had it", status)
		}
		poll.pending()
		after := b.visit("demo", "GET", "/after")
		polled := poll.wait()
		if !strings.HasPrefix(polled.body, "GET /after ") {
			t.Errorf("request = %.100q, want the next one by the same poll", polled.body)
		}
		b.reply(at, okay)
		after.wait().is(t, 200, "ok")
	})
}

func TestAVisitorOrProgramMayLeaveWhileContentIsCollected(t *testing.T) {
	inBubble(t, gateway.Options{}, func(b *bubble) {
		at := b.register("name=demo&token=t0")
		poll := b.begin(get(at))
		v := b.begin(chunkedUpload + "3\r\nabc\r\n")
		v.pending()
		_ = poll.l.Close() // the program
		got := v.wait()
		if status := got.Header.Get("Proxy-Status"); got.StatusCode != 502 || got.code() != "session_lost" || !strings.Contains(status, "handed=?0") {
			t.Errorf("visitor got %d %s %q, want session_lost of a request that no handler had", got.StatusCode, got.body, status)
		}
		if n := b.g.Registry().Stats().Exchanges; n != 0 {
			t.Errorf("%d exchanges are open, want none", n)
		}
	})
}

func TestCollectedContentCountsInTheBudget(t *testing.T) {
	for door, poll := range map[string]func(*bubble) *later{
		"reversehttp": func(b *bubble) *later { return b.begin(get(b.register("name=demo&token=t0"))) },
		"comet2008":   func(b *bubble) *later { return b.begin(queued("")) },
	} {
		t.Run(door, func(t *testing.T) {
			inBubble(t, gateway.Options{}, func(b *bubble) {
				p := poll(b)
				before := b.g.Registry().Options().Budget.Held(budget.Memory)
				v := b.begin(chunkedUpload + chunkedPart(700_000))
				v.pending()
				if grown := b.g.Registry().Options().Budget.Held(budget.Memory) - before; grown < 700_000 {
					t.Errorf("%d bytes more are held, want those of the received content", grown)
				}
				_ = v.l.Close()
				p.pending()
				time.Sleep(time.Second)
				if grown := b.g.Registry().Options().Budget.Held(budget.Memory) - before; grown > 192 {
					t.Errorf("%d bytes more are held once the visitor left, want what remembers the exchange", grown)
				}
			})
		})
	}
}

// chunkedPart returns one chunk of n bytes that is not the last.
func chunkedPart(n int) string { return fmt.Sprintf("%x\r\n%s\r\n", n, strings.Repeat("x", n)) }
