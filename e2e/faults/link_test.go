package faults

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	reversehttp "reversehttp/sdk-go"
)

// Faults that only links have: they are cut in the middle of a message, of the handshake, and after the
// welcome; a proxy accepts them and stays silent, or drops them without an end; another link replaces them.

// isLink reports whether a connection begins with the upgrade to a link.
func isLink(head []byte) bool {
	line, _, _ := bytes.Cut(head, []byte("\r\n"))
	return bytes.HasPrefix(line, []byte("GET ")) && bytes.Contains(line, []byte("/link "))
}

// serveByLink serves mine by a transport through a proxy, like serveInProcess.
func serveByLink(t *testing.T, g *gateway, p *proxy, by reversehttp.Transport) *inProcess {
	t.Helper()
	h := &inProcess{handled: map[string]int{}, attempt: map[string]int{}}
	transport := &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, p.address)
	}}
	s, err := reversehttp.Claim(t.Context(), g.origin(), &reversehttp.Options{
		Label: mine.label, Token: mine.token, Transport: by, Client: &http.Client{Transport: transport}, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	h.session = s
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = s.Serve(h)
	}()
	t.Cleanup(func() {
		_ = s.Close()
		<-ended
		transport.CloseIdleConnections()
	})
	return h
}

// cutLinks makes a proxy cut its first link at an offset of one direction, once.
func cutLinks(up bool, at *atomic.Int64) (plan func(uint64, []byte) []fault, links *atomic.Int64) {
	links = &atomic.Int64{}
	return func(_ uint64, head []byte) []fault {
		if !isLink(head) {
			return nil
		}
		if links.Add(1) > 1 {
			return nil
		}
		return []fault{{kind: cut, up: up, at: at.Load()}}
	}, links
}

// A link that is cut anywhere, in either direction, loses no request and has none handled twice.
func TestALinkThatIsCutAnywhereLosesNothing(t *testing.T) {
	t.Parallel()
	g := startGateway(t, patient...)
	// The bytes of an uncut link for one request; then the link is cut at each of them.
	var passed [2]int64
	var end atomic.Int64
	end.Store(1 << 40)
	plan, _ := cutLinks(false, &end)
	p := startProxy(t, g.address, plan)
	p.keeps.Store(true)
	h := serveByLink(t, g, p, reversehttp.TransportLink)
	h.post(t, g, "/whole")
	both := func(sent, _ []byte) bool { return isLink(sent) }
	until(t, "the answer has its result", func() bool {
		sent, received := p.recorded(both)[0].kept()
		passed = [2]int64{int64(len(received)), int64(len(sent))}
		return bytes.Contains(received, []byte(`"accepted"`))
	})
	_ = h.session.Close()
	until(t, "the session has left", func() bool { return g.metrics()["reversehttp_sessions"] == 0 })

	for i, up := range []bool{false, true} {
		const steps = 24
		for step := range int64(steps) {
			at := &atomic.Int64{}
			at.Store(passed[i] * step / steps)
			plan, links := cutLinks(up, at)
			p := startProxy(t, g.address, plan)
			h := serveByLink(t, g, p, reversehttp.TransportLink)
			for n := range 3 {
				h.post(t, g, fmt.Sprintf("/%v-%d-%d", up, at.Load(), n))
			}
			until(t, "there is another link", func() bool { return links.Load() >= 2 || p.struck[cut].Load() == 0 })
			_ = h.session.Close()
		}
	}
	want := 1 + 2*24*3
	if m := g.idle(0); m.ended("done", "") != want || m.sum("reversehttp_exchanges_total") != want {
		t.Errorf("the gateway counts %v, want %d done", m.ends(), want)
	}
}

// A proxy accepts the upgrade and never answers; auto continues without a link.
func TestAnUpgradeThatIsHeldBackIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	g := startGateway(t, patient...)
	p := startProxy(t, g.address, func(_ uint64, head []byte) []fault {
		if isLink(head) {
			return []fault{{kind: stalled, at: 0, rest: patience}}
		}
		return nil
	})
	h := serveByLink(t, g, p, reversehttp.TransportAuto)
	h.post(t, g, "/held-back")
	if p.struck[stalled].Load() == 0 {
		t.Error("no link was tried")
	}
}

// The connection passes no more data, one way or both, without an error. The silent side is noticed after 10
// s, and the next link serves the request that was on its way.
func TestALinkThatFallsSilentIsFoundOut(t *testing.T) {
	t.Parallel()
	down, up := fault{kind: stalled, at: 900, rest: patience}, fault{kind: stalled, up: true, at: 900, rest: patience}
	for way, faults := range map[string][]fault{"to the program": {down}, "to the gateway": {up}, "both ways": {down, up}} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			g := startGateway(t, "--answer=10m", "--no-poller=10m", "--lease=10m")
			var links atomic.Int64
			p := startProxy(t, g.address, func(_ uint64, head []byte) []fault {
				if isLink(head) && links.Add(1) == 1 {
					return faults
				}
				return nil
			})
			h := serveByLink(t, g, p, reversehttp.TransportLink)
			until(t, "a link is open", func() bool { return links.Load() == 1 && g.metrics()["reversehttp_polls_parked"] == 1 })
			// More data is sent both ways than passes: requests and answers stall.
			for n := 0; p.struck[stalled].Load() == 0; n++ {
				path := fmt.Sprintf("/silent-%d", n)
				got := make(chan string, 1)
				go func() {
					r, _ := http.NewRequest(http.MethodPut, "http://"+g.host()+path, strings.NewReader("content"))
					resp, err := direct.Do(r)
					if err != nil {
						got <- err.Error()
						return
					}
					defer resp.Body.Close()
					content, _ := io.ReadAll(resp.Body)
					got <- fmt.Sprint(resp.StatusCode, " ", string(content))
				}()
				if answer, want := <-got, "200 answer to "+path; answer != want {
					t.Fatalf("PUT %s = %s, want %s", path, answer, want)
				}
			}
			until(t, "there is another link", func() bool { return links.Load() >= 2 })
			h.post(t, g, "/after")
		})
	}
}

// A newer link of the session replaces the older one. The older one's program learns that, and comes back no
// more than once.
func TestALinkThatIsReplacedLosesNothing(t *testing.T) {
	t.Parallel()
	g := startGateway(t, patient...)
	var links atomic.Int64
	p := startProxy(t, g.address, func(_ uint64, head []byte) []fault {
		if isLink(head) {
			links.Add(1)
		}
		return nil
	})
	p.keeps.Store(true)
	h := serveByLink(t, g, p, reversehttp.TransportLink)
	for n := range int64(5) {
		until(t, "a link is open", func() bool { return links.Load() == n+1 && g.metrics()["reversehttp_polls_parked"] == 1 })
		path := fmt.Sprintf("/replaced-%d", n)
		h.post(t, g, path)
		// A poll of the same session, without a message of the program, replaces the link.
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, h.requests(t, p), nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+mine.token)
		r.Header.Set("Prefer", "wait=0")
		resp, err := direct.Do(r)
		if err != nil || resp.StatusCode != http.StatusNoContent {
			t.Fatalf("GET {requests} = %v, %v; want 204", resp, err)
		}
		_ = resp.Body.Close()
	}
	h.post(t, g, "/after")
}

// requests returns the URL of the session's polls, taken from the upgrade of its link.
func (h *inProcess) requests(t *testing.T, p *proxy) string {
	t.Helper()
	all := p.recorded(func(sent, _ []byte) bool { return isLink(sent) })
	if len(all) == 0 {
		t.Fatal("no link was kept")
	}
	sent, _ := all[len(all)-1].kept()
	r, _, _ := strings.Cut(strings.TrimPrefix(string(sent), "GET "), " ")
	return "http://" + p.to + strings.TrimSuffix(r, "/link") + "/requests"
}
