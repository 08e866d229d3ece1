package gateway

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"reversehttp/schema"
	"reversehttp/server/claim"
)

// The example of RFC 6455, 1.2.
var upgradeFields = []string{
	"Connection: keep-alive, upgrade", "Upgrade: WebSocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Protocol: chat",
}

// upgraded returns a visitor whose connection was upgraded.
func (p *program) upgraded(a schema.Response) (v *visitor, r schema.Request, head *http.Response, in *http.Response) {
	p.t.Helper()
	v = p.dial(visitorAddr)
	v.write([]byte(get(host, "/chat", upgradeFields...)))
	r = p.next()
	in = p.fetch(r)
	a.ID, a.Status, a.More = r.ID, 101, true
	p.respond(a)
	head, err := http.ReadResponse(v.in, &http.Request{Method: "GET"})
	if err != nil || head.StatusCode != 101 {
		p.t.Fatalf("head: %v %v, want 101", head, err)
	}
	return v, r, head, in
}

func TestAnUpgradedConnectionCarriesBytesBothWays(t *testing.T) {
	inWorld(t, Options{Times: claim.Times{Lease: time.Hour}}, func(w *world) {
		p := w.claim("demo")
		v, r, head, in := p.upgraded(schema.Response{Headers: []schema.Field{{"Sec-WebSocket-Protocol", "chat"}, {"Connection", "close"}}, Body: new("first")})
		if r.Upgrade != "websocket" {
			t.Errorf("upgrade = %q, want websocket", r.Upgrade)
		}
		for name, want := range map[string]string{
			"Connection": "Upgrade", "Upgrade": "websocket", "Sec-Websocket-Accept": "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", "Sec-Websocket-Protocol": "chat",
		} {
			if got := head.Header[name]; !slices.Equal(got, []string{want}) {
				t.Errorf("%s = %q, want %q", name, got, want)
			}
		}
		v.take(v.in, "first")
		for i, text := range []string{"a", "bc", strings.Repeat("d", 100_000)} {
			p.part(schema.Part{ID: r.ID, Seq: i + 1, Body: &text, More: true}, schema.ResultAccepted)
			v.take(v.in, text)
			v.write([]byte(text + "!"))
			v.take(in.Body, text+"!")
			time.Sleep(5 * time.Minute) // silence does not end it
		}
		p.part(schema.Part{ID: r.ID, Seq: 4, BodyBase64: new("/w==")}, schema.ResultAccepted)
		v.take(v.in, "\xff")
		if _, err := v.in.ReadByte(); err != io.EOF {
			t.Errorf("after the last part: %v, want the end", err)
		}
		if rest, err := io.ReadAll(in.Body); err != nil || len(rest) > 0 {
			t.Errorf("content after the end = %q %v, want a clean end", rest, err)
		}
		if got := w.counted(`reversehttp_exchanges_total{code="",outcome="done"}`); len(got) != 1 {
			t.Errorf("ends = %v, want it done", got)
		}
	})
}

func TestAnUpgradeKeepsTheKeyOfTheHandler(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		p := w.claim("demo")
		_, r, head, _ := p.upgraded(schema.Response{Headers: []schema.Field{{"Sec-WebSocket-Accept", "mine"}}})
		if got := head.Header["Sec-Websocket-Accept"]; !slices.Equal(got, []string{"mine"}) {
			t.Errorf("Sec-WebSocket-Accept = %q, want the handler's", got)
		}
		p.part(schema.Part{ID: r.ID, Seq: 1}, schema.ResultAccepted)
	})
}

func TestAVisitorWhoLeavesAnUpgradedConnection(t *testing.T) {
	inBothWorlds(t, Options{}, func(w *world) {
		p := w.claim("demo")
		v, r, _, in := p.upgraded(schema.Response{})
		_ = v.conn.Close()
		if rest, err := io.ReadAll(in.Body); err != nil || len(rest) > 0 {
			t.Errorf("content = %q %v, want its end", rest, err)
		}
		got := p.send("GET", p.Requests, p.Token, nil)
		if !bytes.Contains(got.Content, []byte(`{"type":"cancel","id":"`+r.ID+`","reason":"visitor_gone"}`)) {
			t.Errorf("poll = %s, want a cancel", got.Content)
		}
		if got := p.answer(schema.Part{Type: schema.TypePart, ID: r.ID, Seq: 1, Body: new("x")}); got.Status != schema.ResultLate {
			t.Errorf("a part after it = %s, want late", got.Status)
		}
	})
}

func TestWhatEndsAnUpgradedConnection(t *testing.T) {
	for name, end := range map[string]func(p *program, r schema.Request){
		"an abort":               func(p *program, r schema.Request) { p.answer(schema.Abort{Type: schema.TypeAbort, ID: r.ID}) },
		"the end of a session":   func(p *program, r schema.Request) { p.send("DELETE", p.Session, p.Token, nil) },
		"a session that is gone": func(p *program, r schema.Request) { time.Sleep(2 * time.Minute) },
		"the end of the claim":   func(p *program, r schema.Request) { p.send("DELETE", p.Claim, p.Token, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			inBothWorlds(t, Options{Times: claim.Times{Lease: time.Minute}}, func(w *world) {
				p := w.claim("demo")
				v, r, _, in := p.upgraded(schema.Response{Body: new("x")})
				v.take(v.in, "x")
				if name == "a session that is gone" {
					_ = in.Body.Close() // so that the program has no connection left
				}
				start := time.Now()
				end(p, r)
				synctest.Wait()
				if _, err := v.in.ReadByte(); err != io.EOF || time.Since(start) > time.Hour {
					t.Errorf("visitor after %s: %v, want the end", time.Since(start), err)
				}
				if name != "a session that is gone" {
					if _, err := io.ReadAll(in.Body); err != nil {
						t.Errorf("content: %v, want its end", err)
					}
				}
			})
		})
	}
}

// The visitor sends nothing that would show the gateway that the program is gone.
func TestAProgramThatIsGoneLosesItsUpgradedConnections(t *testing.T) {
	inBothWorlds(t, Options{}, func(w *world) {
		p := w.claim("demo")
		p.send("GET", p.Requests, p.Token, nil, schema.Field{"Last-Event-ID", p.Cursor}, schema.Field{"Prefer", "wait=0"}) // so that it uses cursors
		v, _, _, in := p.upgraded(schema.Response{Body: new("x")})
		v.take(v.in, "x")
		_ = in.Body.Close()
		start := time.Now()
		if _, err := v.in.ReadByte(); err != io.EOF || time.Since(start) > 13*time.Second {
			t.Errorf("visitor: %v after %s, want the end when the session is lost", err, time.Since(start))
		}
		if got := w.counted(`reversehttp_exchanges_total{code="session_lost",outcome="failed"}`); len(got) != 1 {
			t.Errorf("ends = %q, want session_lost", got)
		}
	})
}

func TestASlowPeerOfAnUpgradedConnectionHoldsTheHandlerBack(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		p := w.claim("demo")
		v, r, _, _ := p.upgraded(schema.Response{})
		held := w.begin(w.request("POST", p.Responses, p.Token, schema.Part{Type: schema.TypePart, ID: r.ID, Seq: 1, Body: new(strings.Repeat("x", 200_000)), More: true}))
		synctest.Wait() // it arrives first
		more := w.begin(w.request("POST", p.Responses, p.Token, schema.Part{Type: schema.TypePart, ID: r.ID, Seq: 2, Body: new(strings.Repeat("y", 200_000)), More: true}))
		if synctest.Wait(); more.got != nil {
			t.Error("a part was answered before the visitor had room for it")
		}
		v.take(v.in, strings.Repeat("x", 200_000)+strings.Repeat("y", 200_000))
		for _, c := range []*call{held, more} {
			if <-c.done; c.got.Status != 202 {
				t.Errorf("part = %d, want 202", c.got.Status)
			}
		}
		p.part(schema.Part{ID: r.ID, Seq: 3}, schema.ResultAccepted)
	})
}

func TestUpgradedConnectionsLeaveRoomForOthers(t *testing.T) {
	inWorld(t, Options{Loopback: true, Limits: claim.Limits{Queue: 4}}, func(w *world) {
		p := w.claim("demo")
		var last schema.Request
		for range 2 {
			_, last, _, _ = p.upgraded(schema.Response{})
		}
		if got := w.ask(get(host, "/chat", upgradeFields...)); got.Status != 503 || got.code() != schema.CodeQueueFull || got.handed() != "?0" {
			t.Errorf("third = %d %s, want queue_full", got.Status, got.Content)
		}
		p.served(get(host, "/"), schema.Response{Status: 204})
		p.part(schema.Part{ID: last.ID, Seq: 1}, schema.ResultAccepted)
		synctest.Wait()
		p.upgraded(schema.Response{})
		p.send("DELETE", p.Session, p.Token, nil)
	})
}

func TestOtherRequestsAreNotUpgrades(t *testing.T) {
	for name, raw := range map[string]string{
		"POST":                   requestTo("POST", host, "/", "Connection: Upgrade", "Upgrade: websocket", "Content-Length: 0"),
		"no Connection":          get(host, "/", "Upgrade: websocket"),
		"HTTP/1.0":               "GET / HTTP/1.0\r\nHost: " + host + "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
		"another protocol":       get(host, "/", "Connection: Upgrade", "Upgrade: h2c"),
		"a protocol with a name": get(host, "/", "Connection: Upgrade", "Upgrade: websocket/2"),
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, Options{}, func(w *world) {
				p := w.claim("demo")
				v := w.visit(raw)
				r := p.next()
				if r.Upgrade != "" || r.BodyURL != "" {
					t.Errorf("upgrade = %q, bodyUrl %q, want none", r.Upgrade, r.BodyURL)
				}
				p.respond(schema.Response{ID: r.ID, Status: 204})
				if got := v.await(); got.Status != 204 {
					t.Errorf("answer = %d, want 204", got.Status)
				}
			})
		})
	}
}

func TestAVisitorOfAnUpgradeMayEndTheirSideAndReadOn(t *testing.T) {
	onBothPorts(t, Options{}, func(t *testing.T, g *Gateway, dial func() net.Conn) {
		o, err := g.registry.Open(netip.Addr{}, "demo", "t0", claim.Settings{})
		if err != nil {
			t.Fatal(err)
		}
		c := dial()
		defer func() { _ = c.Close() }()
		_ = c.SetDeadline(time.Now().Add(10 * time.Minute))
		if _, err := io.WriteString(c, get(host, "/chat", upgradeFields...)); err != nil {
			t.Fatal(err)
		}
		p, err := o.Session.Open(nil, 10*time.Second, claim.Flow{})
		if err != nil {
			t.Fatal(err)
		}
		b, _, err := p.Next(t.Context(), time.Time{}, nil)
		if err != nil || b == nil {
			t.Fatalf("poll = %v %v", b, err)
		}
		x := b.Messages[0].Exchange
		if _, err := o.Session.Delivery(x.ID()).Answer(&claim.Answer{Status: 101, More: true}, nil); err != nil {
			t.Fatal(err)
		}
		content, err := o.Session.Delivery(x.ID()).Fetch()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(c, "last words"); err != nil {
			t.Fatal(err)
		}
		if err := c.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		in, said := content.Open(), []byte{}
		for buf := make([]byte, 64); ; {
			n, err := in.Read(buf)
			if said = append(said, buf[:n]...); err != nil {
				break
			}
		}
		if string(said) != "last words" {
			t.Errorf("the visitor said %q, want all of it", said)
		}
		for i := range 3 {
			if got, err := o.Session.Delivery(x.ID()).Part(t.Context(), claim.Part{Seq: i + 1, Content: []byte{byte('1' + i)}, More: i < 2}); got != claim.Accepted || err != nil {
				t.Errorf("part %d after the visitor ended their side = %v %v, want accepted", i+1, got, err)
			}
		}
		_, rest, _ := strings.Cut(readAll(t, c), "\r\n\r\n")
		if rest != "123" {
			t.Errorf("the visitor read %q, want all that was sent", rest)
		}
	})
}

// readAll reads from a connection until its end.
func readAll(t *testing.T, c net.Conn) string {
	t.Helper()
	all, err := io.ReadAll(c)
	if err != nil {
		t.Error(err)
	}
	return string(all)
}

func TestAnUpgradeThatNobodyCanAcceptIsRefused(t *testing.T) {
	const version, key = "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
	for name, c := range map[string]struct {
		fields []string
		status int
	}{
		"version 8":         {[]string{"Sec-WebSocket-Version: 8", key}, 426},
		"version of a text": {[]string{"Sec-WebSocket-Version: thirteen", key}, 426},
		"no version":        {[]string{key}, 400},
		"two versions":      {[]string{version, version, key}, 400},
		"no key":            {[]string{version}, 400},
		"two keys":          {[]string{version, key, key}, 400},
		"a short key":       {[]string{version, "Sec-WebSocket-Key: abc"}, 400},
		"a key of 15 bytes": {[]string{version, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j"}, 400},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, Options{}, func(w *world) {
				w.claim("demo")
				got := w.ask(get(host, "/", append(c.fields, "Connection: Upgrade", "Upgrade: websocket")...))
				if got.Status != c.status || got.handed() != "?0" {
					t.Errorf("answer = %d %s, want %d, handed=?0", got.Status, got.Content, c.status)
				}
				if offered := got.Header.Get("Sec-WebSocket-Version"); (offered == "13") != (c.status == 426) {
					t.Errorf("Sec-WebSocket-Version = %q with %d", offered, got.Status)
				}
				if n := w.gateway.registry.Stats().Exchanges; n != 0 {
					t.Errorf("%d exchanges are open, want none", n)
				}
			})
		})
	}
}

func TestAnUpgradeThatFailsEndsTheProgramsRequest(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		p := w.claim("demo")
		c := w.gateway.registry.Lookup("demo")
		done := make(chan struct{})
		go func() { // over a writer that cannot be hijacked
			defer close(done)
			defer func() {
				if v := recover(); v != http.ErrAbortHandler {
					t.Errorf("panic = %v, want the visitor cut off", v)
				}
			}()
			r := httptest.NewRequest("GET", "http://"+host+"/chat", nil)
			for _, f := range upgradeFields {
				name, value, _ := strings.Cut(f, ": ")
				r.Header.Set(name, value)
			}
			w.gateway.visits.Serve(httptest.NewRecorder(), r, c.Label(), c, w.gateway.registry.Options().Budget.Open(netip.Addr{}))
		}()
		r := p.next()
		in := p.fetch(r)
		p.respond(schema.Response{ID: r.ID, Status: 101, More: true})
		<-done
		if rest, err := io.ReadAll(in.Body); err != nil || len(rest) > 0 {
			t.Errorf("content = %q %v, want its end", rest, err)
		}
	})
}

func TestAnUpgradeThatIsRefusedEndsItsContent(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		p := w.claim("demo")
		v := p.dial(visitorAddr)
		v.write([]byte(strings.Replace(get(host, "/chat", upgradeFields...), "Connection: close\r\n", "", 1)))
		r := p.next()
		in := p.fetch(r)
		p.respond(schema.Response{ID: r.ID, Status: 403, Body: new("no")})
		if got := v.read("GET"); got.Status != 403 || string(got.Content) != "no" {
			t.Errorf("answer = %d %q, want 403", got.Status, got.Content)
		}
		if rest, err := io.ReadAll(in.Body); err != nil || len(rest) > 0 {
			t.Errorf("content = %q %v, want none", rest, err)
		}
		v.write([]byte(get(host, "/next")))
		next := p.next()
		p.respond(schema.Response{ID: next.ID, Status: 204})
		if got := v.read("GET"); got.Status != 204 {
			t.Errorf("next on the connection = %d, want 204", got.Status)
		}
	})
}

// On a real connection the last data reaches a visitor that is still sending.
func TestTheLastBytesOfAnUpgradedConnectionArrive(t *testing.T) {
	onBothPorts(t, Options{Loopback: true}, func(t *testing.T, g *Gateway, dial func() net.Conn) {
		p := realProgram(t, g, dial)
		for range 20 {
			c := dial()
			_, _ = io.WriteString(c, get("demo.localhost:8080", "/", upgradeFields...))
			r := p.next()
			in := p.fetch(r)
			p.respond(schema.Response{ID: r.ID, Status: 101, More: true})
			_, _ = io.WriteString(c, "first")
			relayed(t, nil, in.Body, "first")
			_ = in.Body.Close()
			_, _ = c.Write(make([]byte, 300_000)) // nobody reads this
			p.part(schema.Part{ID: r.ID, Seq: 1, Body: new("the end")}, schema.ResultAccepted)
			all, err := io.ReadAll(c)
			if err != nil || !bytes.HasSuffix(all, []byte("the end")) {
				t.Errorf("visitor got %q %v, want it to end with the end", all[max(0, len(all)-20):], err)
			}
			_ = c.Close()
		}
	})
}

// realProgram claims "demo" at a gateway that dial connects to.
func realProgram(t *testing.T, g *Gateway, dial func() net.Conn) *program {
	transport := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return dial(), nil }}
	t.Cleanup(transport.CloseIdleConnections)
	w := &world{t: t, gateway: g, client: &http.Client{Transport: transport}}
	return w.claim("demo")
}

func TestAnUpgradeByResponseURLMayBeSilent(t *testing.T) {
	inWorld(t, Options{Times: claim.Times{Lease: time.Hour}}, func(w *world) {
		p := w.claim("demo")
		v := p.dial(visitorAddr)
		v.write([]byte(get(host, "/chat", upgradeFields...)))
		r := p.next()
		_, send := p.raw(r.ResponseURL, "Reversehttp-Status: 101")
		if head, err := http.ReadResponse(v.in, &http.Request{Method: "GET"}); err != nil || head.StatusCode != 101 {
			t.Fatalf("head: %v %v, want 101", head, err)
		}
		for range 3 {
			time.Sleep(5 * time.Minute)
			send("x")
			v.take(v.in, "x")
		}
		send("")
	})
}
