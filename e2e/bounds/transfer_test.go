package bounds

import (
	"flag"
	"fmt"
	"io"
	"sync/atomic"
	"testing"
	"time"
)

// size is the size of the largest transfers, in bytes: the memory they hold does not grow with it.
var size = flag.Int64("size", 64<<20, "size of the largest transfers, in bytes")

const (
	// How many bytes one transfer may hold in a process: twice the largest window of an exchange.
	transferMost = 1 << 20
	linkWindow   = transferMost
	// How often a transfer is paused, so that all buffers are full.
	stops = 4
)

func TestATransferOfAnySizeHoldsLittle(t *testing.T) {
	t.Parallel()
	gateway := start(t, "as-gateway", fmt.Sprintf("--link-window=%d", linkWindow))
	program := start(t, "as-program", gateway.at)
	for _, c := range []struct {
		name  string
		size  int64
		carry func(t *testing.T, size int64, w *watched)
	}{
		{"an answer", *size, download("/down")},
		{"an answer with its length", 64 << 20, download("/down-with-length")},
		{"an answer that is flushed", 64 << 20, download("/down-flushed")},
		{"an answer in parts", 16 << 20, download("/down-in-parts")},
		{"an upload", *size, upload("/up", false)},
		{"an upload of unknown length", 64 << 20, upload("/up", true)},
		{"an upload that comes back", 16 << 20, upload("/through", true)},
	} {
		t.Run(c.name, func(t *testing.T) {
			// The shared state that the first transfer of a kind creates is not due to one transfer.
			c.carry(t, 8<<20, watch(t, gateway, program))
			w := watch(t, gateway, program)
			begun := time.Now()
			c.carry(t, c.size, w)
			t.Logf("%s in %.1f s", kib(c.size), time.Since(begun).Seconds())
			// Stacks are allocated in 32 KiB for several goroutines at once; the test with a crowd measures
			// the cost of one.
			w.judge(func(h held) int64 { return h.heap }, transferMost)
		})
	}
}

// download returns a function that reads an answer, and pauses now and then.
func download(target string) func(*testing.T, int64, *watched) {
	return func(t *testing.T, size int64, w *watched) {
		v := visit(t, w.program.at, "GET", fmt.Sprintf("%s?size=%d", target, size), "")
		content := v.content(t)
		for range stops {
			if n, err := io.CopyN(io.Discard, content, size/stops-1); err != nil {
				t.Fatalf("%d bytes and then %v", n, err)
			}
			awaitStill(t, "the handler", func() int64 { return w.program.tell(order{}).Written })
			w.look()
		}
		if n, err := io.Copy(io.Discard, content); n != stops || err != nil {
			t.Fatalf("%d bytes at the end and %v, want %d", n, err, stops)
		}
	}
}

// upload returns a function that sends content to a handler that pauses reading now and then.
func upload(target string, chunked bool) func(*testing.T, int64, *watched) {
	return func(t *testing.T, size int64, w *watched) {
		read := w.program.tell(order{}).Read
		upTo := func(stop int64) int64 { return read + stop*size/stops }
		w.program.tell(order{Read: upTo(1)})
		fields := fmt.Sprintf("Content-Length: %d\r\n", size)
		if chunked {
			fields = "Transfer-Encoding: chunked\r\n"
		}
		v := visit(t, w.program.at, "POST", target, fields)
		var written atomic.Int64
		sent, answered := make(chan error, 1), make(chan int64, 1)
		go func() { sent <- v.send(size, chunked, &written) }()
		go func() {
			n, _ := io.Copy(io.Discard, v.content(t))
			answered <- n
		}()
		for stop := range int64(stops) {
			await(t, "the handler has what it may have", func() bool { return w.program.tell(order{}).Read >= upTo(stop+1) })
			awaitStill(t, "the visitor", written.Load)
			w.look()
			w.program.tell(order{Read: upTo(stop + 2)})
		}
		w.program.tell(order{Read: -1})
		if err := <-sent; err != nil {
			t.Fatal(err)
		}
		back := <-answered
		if target == "/through" && back != size {
			t.Errorf("%d bytes came back, want %d", back, size)
		}
		if f := w.program.tell(order{}); f.Read-read != size {
			t.Errorf("the handler has %d bytes, want %d", f.Read-read, size)
		}
	}
}

// send sends size bytes of content, and counts them.
func (v *visitor) send(size int64, chunked bool, written *atomic.Int64) error {
	for left := size; left > 0; left -= piece {
		if chunked {
			if _, err := fmt.Fprintf(v, "%x\r\n", piece); err != nil {
				return err
			}
		}
		if _, err := v.Write(noise); err != nil {
			return err
		}
		if chunked {
			if _, err := io.WriteString(v, "\r\n"); err != nil {
				return err
			}
		}
		written.Add(piece)
	}
	if chunked {
		_, err := io.WriteString(v, "0\r\n\r\n")
		return err
	}
	return nil
}
