package faults

import (
	"bytes"
	"fmt"
	"sync/atomic"
	"testing"
)

func TestAnAnswerWhose202IsLostReachesItsVisitorOnce(t *testing.T) {
	t.Parallel()
	g := startGateway(t, patient...)
	var at atomic.Int64
	var struck atomic.Bool
	isPost := func(sent []byte) bool {
		line, _, _ := bytes.Cut(sent, []byte("\r\n"))
		return bytes.HasPrefix(line, []byte("POST ")) && bytes.Contains(line, []byte("/responses "))
	}
	p := startProxy(t, g.address, func(_ uint64, head []byte) []fault {
		if isPost(head) && struck.CompareAndSwap(false, true) {
			return []fault{{kind: cut, at: at.Load()}}
		}
		return nil
	})
	p.keeps.Store(true)
	h := serveInProcess(t, g, p)
	posts := func(path string) []*link {
		answer := []byte("answer to " + path + "\n") // framed: the content, and the LF after it
		return p.recorded(func(sent, _ []byte) bool { return isPost(sent) && bytes.Contains(sent, answer) })
	}

	at.Store(1 << 30)
	h.post(t, g, "/whole")
	until(t, "its answer is accepted", func() bool {
		posted := posts("/whole")
		if len(posted) != 1 {
			return false
		}
		_, received := posted[0].kept()
		at.Store(int64(len(received)))
		return bytes.Contains(received, []byte("accepted")) && bytes.HasSuffix(bytes.TrimSpace(received), []byte("}"))
	})
	length, rounds := at.Load(), 1
	for _, offset := range []int64{0, 1, 12, length / 4, length / 2, length * 3 / 4, length - 2, length - 1} {
		at.Store(offset)
		struck.Store(false)
		path := fmt.Sprintf("/%d", offset)
		h.post(t, g, path)
		rounds++
		until(t, "the answer is posted again", func() bool {
			posted := posts(path)
			if len(posted) != 2 {
				return false
			}
			_, received := posted[1].kept()
			return bytes.Contains(received, []byte(`"status":"duplicate"`))
		})
		if _, received := posts(path)[0].kept(); int64(len(received)) != offset {
			t.Errorf("the first 202 to %s brought %d bytes, want %d of %d", path, len(received), offset, length)
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for path, n := range h.handled {
		if n != 1 {
			t.Errorf("POST %s is handled %d times, want once", path, n)
		}
	}
	if m := g.metrics(); m.ended("done", "") != rounds || m.sum("reversehttp_exchanges_total") != rounds {
		t.Errorf("the gateway counts %v, want %d done", m.ends(), rounds)
	}
}
