package family

import (
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"reversehttp/server/gateway"
)

// oldProgram serves like libraries of 2009 to 2016, which differ in what they rely on.
type oldProgram struct {
	b *bubble
	// version is the HTTP version of its requests, and fields are added to them.
	version, fields string
	// keeps means that it reuses connections if allowed.
	keeps bool
	// stays means that it polls the same URL after a 204, whatever the 204 says.
	stays bool
	// sleeps is how long it sleeps after a 204.
	sleeps time.Duration
	// reply is its response to all requests.
	reply string

	l      *line
	at     string
	stop   chan struct{}
	ended  sync.WaitGroup
	served int
}

// ask sends a request, on its own connection or the last one, and returns nil if that fails.
func (p *oldProgram) ask(method, target, rest string) *heard {
	target, _, _ = strings.Cut(target, "?") // some programs drop the query
	if p.l == nil {
		here, err := p.b.connect(visitorAt)
		if err != nil {
			return nil
		}
		p.l = here
	}
	p.l.say(method + " " + target + " " + p.version + "\r\nHost: localhost:8080\r\n" + p.fields + rest)
	h := p.l.hear(method)
	if !p.keeps || h.err != nil || h.Close {
		_ = p.l.Close()
		p.l = nil
	}
	if h.err != nil {
		return nil
	}
	return h
}

// links reads a Link field like programs that split it at comma and space.
func links(h *heard) map[string]string {
	found := map[string]string{}
	for _, one := range strings.Split(strings.Join(h.Header["Link"], ", "), ", ") {
		at, rel, ok := strings.Cut(strings.TrimPrefix(one, "<"), `>; rel="`)
		if ok {
			found[strings.TrimSuffix(rel, `"`)] = strings.TrimPrefix(at, "http://localhost:8080")
		}
	}
	return found
}

// start registers, once, and serves until end.
func (p *oldProgram) start() {
	p.b.t.Helper()
	form := "name=demo&token=t0&lease=30"
	h := p.ask("POST", "/reversehttp", fmt.Sprintf("Content-Type: %s\r\nContent-Length: %d\r\n\r\n%s", formMedia, len(form), form))
	if h == nil || h.StatusCode != 201 || h.body != "" {
		p.b.t.Fatalf("register: %+v", h)
	}
	p.at, p.stop = links(h)["first"], make(chan struct{})
	p.ended.Go(p.serve)
}

func (p *oldProgram) end() {
	close(p.stop)
	p.ended.Wait()
	if p.l != nil {
		_ = p.l.Close()
	}
}

func (p *oldProgram) serve() {
	for {
		select {
		case <-p.stop:
			return
		default:
		}
		h := p.ask("GET", p.at, "\r\n")
		switch {
		case h == nil: // the gateway is not running
			time.Sleep(time.Second)
		case h.StatusCode == 204:
			if next := links(h)["next"]; !p.stays {
				p.at = next
			}
			time.Sleep(p.sleeps)
		case h.StatusCode == 503: // it is stopping
			time.Sleep(time.Second)
		case h.StatusCode == 200:
			p.handle(h)
		default:
			p.b.t.Errorf("poll = %d %s", h.StatusCode, h.body)
			return
		}
	}
}

// handle replies to a request, after checking that it can parse it.
func (p *oldProgram) handle(h *heard) {
	client, port, _ := strings.Cut(h.Header.Get("Requesting-Client"), ":")
	if a, err := netip.ParseAddr(client); err != nil || !a.Is4() || strings.Contains(port, ":") {
		p.b.t.Errorf("Requesting-Client = %q", h.Header.Get("Requesting-Client"))
	}
	if h.Header.Get("Content-Type") != "message/http" {
		p.b.t.Errorf("head = %q, want message/http", h.head)
	}
	got := p.ask("POST", p.at, fmt.Sprintf("Content-Type: message/http\r\nContent-Length: %d\r\n\r\n%s", len(p.reply), p.reply))
	if got == nil || got.StatusCode != 202 || got.body != "" {
		p.b.t.Errorf("reply = %+v, want 202", got)
	}
	p.served++
	p.at = links(h)["next"]
}

// Programs of the time serve, unmodified, through idle times, restarts and losses.
func TestProgramsOf2009To2016AreServed(t *testing.T) {
	for name, p := range map[string]*oldProgram{
		"a connection a request, HTTP/1.0, sleeps after 204": {version: "HTTP/1.0", stays: true, sleeps: 2 * time.Second, reply: "HTTP/1.0 200 OK\nServer: old\n\nok"},
		"HTTP/1.0 with keep-alive, follows next":             {version: "HTTP/1.0", fields: "Connection: keep-alive\r\n", keeps: true, reply: "HTTP/1.0 200 OK\r\n\r\nok"},
		"HTTP/1.1, keeps, follows next":                      {version: "HTTP/1.1", keeps: true, reply: "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"},
		"HTTP/1.1, closes, stays":                            {version: "HTTP/1.1", fields: "Connection: close\r\nAccept: */*\r\n", stays: true, reply: "HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"},
		"a page":                                             {version: "HTTP/1.1", fields: "Origin: http://localhost:3000\r\nAccept: */*\r\n", keeps: true, reply: "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, gateway.Options{}, func(b *bubble) {
				p.b = b
				p.start()
				visits := 0
				visit := func() {
					t.Helper()
					visits++
					synctest.Wait()
					v := b.beginFrom("[2001:db8::9]:4711", "GET /x HTTP/1.1\r\nHost: demo.localhost:8080\r\n\r\n")
					v.wait().is(t, 200, "ok")
				}
				for i := range 20 {
					time.Sleep(time.Duration(i*i) * time.Second) // idle, also where it sleeps
					visit()
				}
				for _, remembers := range []bool{false, true} {
					b.restart(gateway.Options{}, remembers)
					time.Sleep(3 * time.Second) // until it is back
					visit()
					time.Sleep(40 * time.Second)
					visit()
				}
				for range 3 { // one after the other
					visit()
				}
				p.end()
				if p.served != visits {
					t.Errorf("%d requests came for %d visits", p.served, visits)
				}
			})
		})
	}
}

// A program that is away for longer than its lease is served when it is back.
func TestAProgramThatSleepsBeyondItsLeaseIsServed(t *testing.T) {
	inBubble(t, gateway.Options{}, func(b *bubble) {
		p := oldProgram{b: b, version: "HTTP/1.1", stays: true, sleeps: 45 * time.Second, reply: okay}
		p.start()
		time.Sleep(26 * time.Second)
		synctest.Wait()
		time.Sleep(40 * time.Second)
		if b.g.Registry().Lookup("demo") != nil {
			t.Error("the claim lives, want its lease of 30 s over")
		}
		time.Sleep(6 * time.Second)
		b.visit("demo", "GET", "/").wait().is(t, 200, "ok")
		p.end()
	})
}
