package abuse

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"reversehttp/schema"
	reversehttp "reversehttp/sdk-go"
)

// readSlowly makes many visitors request a large answer and read only its head. Honest visitors of the same
// claim request small ones. Its program streams as sdk-go does by a transport, or, if that is empty, polls
// for batches and posts whole answers.
func readSlowly(by reversehttp.Transport) func(t *testing.T, w *world) {
	return func(t *testing.T, w *world) {
		var url string
		switch by {
		case reversehttp.TransportPoll:
			url = w.polled.URL()
		case reversehttp.TransportLink:
			url = w.linked.URL()
		case reversehttp.TransportStream, reversehttp.TransportFramed:
			url = w.serve("streamed", by, 0).URL()
			w.welcome("the claim with a stream", url)
		default:
			o := w.own(owning(0), "whole", 60_000)
			url = o.URL
			ctx, cancel := context.WithCancel(t.Context())
			program := &wholeProgram{owner: o, ctx: ctx, large: make(chan struct{}, 4)}
			program.running.Go(program.serve)
			defer program.running.Wait()
			defer cancel()
			defer w.welcome("the claim that is attacked", url).end()
			defer func() { t.Logf("POSTs of large answers: %s; of small ones: %s", &program.ofLarge, &program.ofSmall) }()
		}
		readers := sized(200, 900) // enough to make the gateway hold as much as it may
		before := liveHeap()
		var open []net.Conn
		var stalled atomic.Int64
		var ends tally
		for i := range readers {
			c := attacker(i).stall(t, w.gateway, hostOf(url))
			defer c.Close()
			open = append(open, c)
			go func() {
				resp, err := http.ReadResponse(bufio.NewReader(c), nil)
				if err == nil && resp.StatusCode == http.StatusOK {
					stalled.Add(1)
					return
				}
				ends.add(endOfResponse(resp, err))
			}()
		}
		settle(readers, func() int { return int(stalled.Load()) + ends.total() })
		w.goOn("answers are not read", 50)
		t.Logf("%d readers: %d have a head of 200 and read no more; the others: %s", readers, stalled.Load(), &ends)
		held := liveHeap()
		for _, c := range open {
			_ = c.Close()
		}
		// The programs run in this process: they free what they held for readers who left.
		until(t, "the programs let go of what nobody reads", func() bool { return liveHeap() < before+leftOver })
		t.Logf("the heap of the programs: %d MiB before, %d MiB beside the readers, %d MiB after", before>>20, held>>20, liveHeap()>>20)
	}
}

// leftOver is how much the heap of the programs may have grown in the end, in bytes.
const leftOver = 32 << 20

// liveHeap returns how many bytes of the heap of this process are in use.
func liveHeap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// stall connects and requests the large answer. The kernel buffers little of it for the gateway: on loopback,
// with its large segments, it would buffer megabytes.
func (s source) stall(t *testing.T, g *gateway, host string) net.Conn {
	t.Helper()
	d := s.dialer()
	d.Control = func(_, _ string, raw syscall.RawConn) error {
		return raw.Control(func(fd uintptr) {
			_ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4<<10)
			_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_MAXSEG, 536)
		})
	}
	c, err := d.Dial("tcp", g.address)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", largePath, host); err != nil {
		t.Fatal(err)
	}
	return c
}

// wholeProgram polls for batches and posts whole answers. It abandons a large one that the gateway refuses,
// and repeats a small one when allowed.
type wholeProgram struct {
	*owner
	ctx     context.Context
	running sync.WaitGroup
	large   chan struct{} // has room for the large answers that are posted at once

	ofLarge, ofSmall tally
}

func (p *wholeProgram) serve() {
	for p.ctx.Err() == nil {
		content, err := p.poll(p.ctx)
		if err != nil {
			return
		}
		var batch struct {
			Messages []struct{ Type, ID, Target, Body string }
		}
		if content != nil && json.Unmarshal(content, &batch) != nil {
			return
		}
		for _, m := range batch.Messages {
			switch {
			case m.Type != schema.TypeRequest:
			case m.Target == largePath:
				p.running.Go(func() { p.answerLarge(m.ID) })
			default:
				p.running.Go(func() { p.answerSmall(m.ID, rightAnswer(m.Target, []byte(m.Body))) })
			}
		}
	}
}

// quotedLarge is the large answer as JSON.
var quotedLarge = sync.OnceValue(func() string { return `"` + strings.ReplaceAll(string(largeAnswer), "\n", `\n`) + `"` })

func (p *wholeProgram) answerLarge(id string) {
	p.large <- struct{}{}
	end := p.post(p.ctx, []byte(`{"type":"response","id":"`+id+`","status":200,"body":`+quotedLarge()+`}`))
	<-p.large
	if p.ctx.Err() == nil {
		p.ofLarge.add(end)
	}
	if end != "202 accepted" {
		_ = p.post(p.ctx, []byte(`{"type":"abort","id":"`+id+`"}`))
	}
}

func (p *wholeProgram) answerSmall(id string, content []byte) {
	message, err := json.Marshal(map[string]any{"type": schema.TypeResponse, "id": id, "status": 200, "body": string(content)})
	if err != nil {
		panic(err)
	}
	for p.ctx.Err() == nil {
		end := p.post(p.ctx, message)
		if p.ctx.Err() == nil {
			p.ofSmall.add(end)
		}
		if end != "503 queue_full" {
			return
		}
		select { // as Retry-After says
		case <-time.After(time.Second):
		case <-p.ctx.Done():
		}
	}
}
