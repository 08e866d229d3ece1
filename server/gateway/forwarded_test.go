package gateway

import (
	"io"
	"net/http"
	"net/netip"
	"slices"
	"testing"

	"reversehttp/schema"
)

// from sends a visitor's request from an address, and returns what the handler got.
func (p *program) from(addr, raw string) schema.Request {
	p.t.Helper()
	v := p.dial(addr)
	v.send(raw)
	r := p.next()
	p.respond(schema.Response{ID: r.ID, Status: 204})
	v.await()
	return r
}

// values returns the values of a field, in order.
func values(r schema.Request, name string) (out []string) {
	for _, f := range r.Headers {
		if f[0] == name {
			out = append(out, f[1])
		}
	}
	return out
}

func TestAStrangersForwardingFieldsAreDropped(t *testing.T) {
	inWorld(t, Options{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}, func(w *world) {
		r := w.claim("demo").from("203.0.113.9:1", get(host, "/", "Forwarded: for=1.1.1.1", "X-Forwarded-For: 1.1.1.1", "X-Forwarded-Host: evil",
			"X-Forwarded-Proto: https", "X-Real-IP: 1.1.1.1", "X-Forwarded-Port: 1", "Forwarded-For: 1.1.1.1", "CF-Connecting-IP: 1.1.1.1", "X-Realm: kept", "Via: 1.0 outer"))
		for name, want := range map[string][]string{
			"Forwarded": {`for=203.0.113.9;host="demo.localhost:8080";proto=http`}, "X-Forwarded-For": {"203.0.113.9"}, "X-Forwarded-Host": {host},
			"X-Forwarded-Proto": {"http"}, "X-Real-Ip": nil, "X-Forwarded-Port": nil, "Forwarded-For": nil, "Cf-Connecting-Ip": nil, "X-Realm": {"kept"}, "Via": {"1.0 outer", "1.1 demo.localhost:8080"},
		} {
			if got := values(r, name); !slices.Equal(got, want) {
				t.Errorf("%s = %q, want %q", name, got, want)
			}
		}
		if r.RemoteAddr != "203.0.113.9:1" {
			t.Errorf("remoteAddr = %s, want the peer's", r.RemoteAddr)
		}
	})
}

func TestWithoutTrustedProxiesForwardingFieldsAreIgnored(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		r := w.claim("demo").from("203.0.113.9:1", get(host, "/", "Forwarded: for=1.1.1.1", "X-Forwarded-For: 1.1.1.1"))
		if got := values(r, "X-Forwarded-For"); r.RemoteAddr != "203.0.113.9:1" || !slices.Equal(got, []string{"203.0.113.9"}) {
			t.Errorf("remoteAddr = %s, X-Forwarded-For = %q, want the peer's", r.RemoteAddr, got)
		}
	})
}

func TestATrustedProxyNamesTheVisitor(t *testing.T) {
	inWorld(t, Options{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}}, func(w *world) {
		p := w.claim("demo")
		for _, c := range []struct{ peer, told, want string }{
			{"10.0.0.1:1", "203.0.113.9", "203.0.113.9:0"},
			{"10.0.0.1:1", "203.0.113.9:77", "203.0.113.9:77"},
			{"10.0.0.1:1", "1.1.1.1, 203.0.113.9", "203.0.113.9:0"},
			{"10.0.0.1:1", "1.1.1.1, 203.0.113.9, 10.0.0.2", "203.0.113.9:0"},
			{"10.0.0.1:1", "10.0.0.3", "10.0.0.3:0"},
			{"10.0.0.1:1", "unknown", "10.0.0.1:1"},
			{"10.0.0.1:1", "1.1.1.1, unknown", "10.0.0.1:1"},
			{"10.0.0.1:1", "2001:db8::1", "[2001:db8::1]:0"},
			{"10.0.0.1:1", "[2001:db8::1]:9", "[2001:db8::1]:9"},
			{"[fd00::1]:1", "203.0.113.9", "203.0.113.9:0"},
			{"[::ffff:10.0.0.1]:1", "203.0.113.9", "203.0.113.9:0"},
			{"192.0.2.1:1", "203.0.113.9", "192.0.2.1:1"},
		} {
			r := p.from(c.peer, get(host, "/", "X-Forwarded-For: "+c.told))
			if r.RemoteAddr != c.want {
				t.Errorf("peer %s told %q: remoteAddr = %s, want %s", c.peer, c.told, r.RemoteAddr, c.want)
			}
		}
		if got := values(p.from("[2001:db8::7]:5", get(host, "/")), "Forwarded"); got[0] != `for="[2001:db8::7]";host="demo.localhost:8080";proto=http` {
			t.Errorf("Forwarded of an IPv6 visitor = %q", got)
		}
	})
}

func TestATrustedProxyNamesTheVisitorByForwarded(t *testing.T) {
	inWorld(t, Options{TrustedField: "Forwarded", TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}, func(w *world) {
		p := w.claim("demo")
		for _, c := range []struct{ peer, told, want string }{
			{"10.0.0.1:1", "for=203.0.113.9", "203.0.113.9:0"},
			{"10.0.0.1:1", `For="203.0.113.9:77";proto=https, for=10.0.0.2`, "203.0.113.9:77"},
			{"10.0.0.1:1", `for=1.1.1.1, proto=http;for="[2001:db8::1]:9"`, "[2001:db8::1]:9"},
			{"10.0.0.1:1", `for="[2001:db8::1]"`, "[2001:db8::1]:0"},
			{"10.0.0.1:1", "for=1.1.1.1, for=_hidden", "10.0.0.1:1"},
			{"10.0.0.1:1", "for=1.1.1.1, proto=http", "10.0.0.1:1"},
			{"192.0.2.1:1", "for=203.0.113.9", "192.0.2.1:1"},
		} {
			r := p.from(c.peer, get(host, "/", "Forwarded: "+c.told))
			if r.RemoteAddr != c.want {
				t.Errorf("peer %s told Forwarded %q: remoteAddr = %s, want %s", c.peer, c.told, r.RemoteAddr, c.want)
			}
		}
	})
}

// A proxy passes on fields that it does not know, which the visitor may have sent. So only one field counts,
// without the visitor's part.
func TestOneFieldOfATrustedProxyCounts(t *testing.T) {
	sent := []string{
		"X-Forwarded-For: 1.1.1.1, 203.0.113.9, 10.0.0.2", `Forwarded: for=2.2.2.2;host=evil;proto=https, for="[2001:db8::1]:9"`, "X-Real-IP: 3.3.3.3", "CF-Connecting-IP: 4.4.4.4",
		"X-Forwarded-Host: pub.example", "X-Forwarded-Proto: https", "X-Forwarded-Prefix: /evil", "X-Forwarded-Port: 1", "X-Original-URL: /evil",
	}
	for field, want := range map[string]struct{ visitor, xFor, forwarded string }{
		"":                 {"203.0.113.9:0", "203.0.113.9, 10.0.0.2, 10.0.0.1", "for=203.0.113.9, for=10.0.0.2, for=10.0.0.1"},
		"Forwarded":        {"[2001:db8::1]:9", "2001:db8::1, 10.0.0.1", `for="[2001:db8::1]", for=10.0.0.1`},
		"Cf-Connecting-Ip": {"4.4.4.4:0", "4.4.4.4, 10.0.0.1", "for=4.4.4.4, for=10.0.0.1"},
		"True-Client-Ip":   {"10.0.0.1:1", "10.0.0.1", "for=10.0.0.1"},
	} {
		inWorld(t, Options{TrustedField: field, TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}, func(w *world) {
			r := w.claim("demo").from("10.0.0.1:1", get(host, "/", sent...))
			for name, want := range map[string][]string{
				"X-Forwarded-For": {want.xFor}, "Forwarded": {want.forwarded + `;host="demo.localhost:8080";proto=http`},
				"X-Forwarded-Host": {host}, "X-Forwarded-Proto": {"http"}, "X-Real-Ip": nil, "Cf-Connecting-Ip": nil, "X-Forwarded-Prefix": nil,
				"X-Forwarded-Port": nil, "X-Original-Url": nil,
			} {
				if got := values(r, name); !slices.Equal(got, want) {
					t.Errorf("by %q: %s = %q, want %q", field, name, got, want)
				}
			}
			if r.RemoteAddr != want.visitor {
				t.Errorf("by %q: remoteAddr = %s, want %s", field, r.RemoteAddr, want.visitor)
			}
		})
	}
}

// CGI and its successors name the variable of X-Forwarded-For like that of X_Forwarded_For, so the visitor's
// field might win.
func TestAFieldWithTheCGIVariableOfAnotherIsDropped(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		r := w.claim("demo").from("203.0.113.9:1", get(host, "/", "X_Forwarded_For: 1.1.1.1", "X-Forwarded_For: 1.1.1.1", "X.Forwarded.Host: evil", "FORWARDED_: x", "x_real_ip: 1.1.1.1",
			"X_Forwarded.Prefix: /evil", "Cdn_Loop: x", "Proxy: http://evil", "X-Scheme: https", "X_Mine: 1", "Sec.Mine: 2"))
		for name, want := range map[string][]string{
			"X-Forwarded-For": {"203.0.113.9"}, "X_forwarded_for": nil, "X-Forwarded_for": nil, "X.forwarded.host": nil, "Forwarded_": nil, "X_real_ip": nil,
			"X_forwarded.prefix": nil, "Cdn_loop": nil, "Proxy": nil, "X-Scheme": nil, "X_mine": {"1"}, "Sec.mine": {"2"},
		} {
			if got := values(r, name); !slices.Equal(got, want) {
				t.Errorf("%s = %q, want %q", name, got, want)
			}
		}
	})
}

// A server behind a relay that strips the path of the claim needs that path for its links.
func TestThePathOfAClaimIsForwarded(t *testing.T) {
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	for _, c := range []struct {
		shape, peer, host, target string
		want                      []string
	}{
		{"", "203.0.113.9:1", host, "/", nil},
		{"", "10.0.0.1:1", host, "/", nil},
		{pathShape, "203.0.113.9:1", "localhost:8080", "/at/demo/", []string{"/at/demo"}},
		{pathShape, "10.0.0.1:1", "localhost:8080", "/at/demo/", []string{"/at/demo"}},
	} {
		inWorld(t, Options{PublicURL: c.shape, TrustedProxies: trusted}, func(w *world) {
			r := w.claim("demo").from(c.peer, get(c.host, c.target, "X-Forwarded-Prefix: /told"))
			if got := values(r, "X-Forwarded-Prefix"); !slices.Equal(got, c.want) {
				t.Errorf("%q from %s: X-Forwarded-Prefix = %q, want %q", c.shape, c.peer, got, c.want)
			}
		})
	}
}

func TestARequestThatPassesAgainIsALoop(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		p := w.claim("demo")
		for _, via := range []string{"1.1 demo.localhost:8080", "1.0 outer, HTTP/1.1 DEMO.localhost:8080 (comment), 1.1 x"} {
			p.refused(w.ask(get(host, "/", "Via: "+via)), schema.CodeLoop)
		}
		for _, loop := range []string{"demo.localhost:8080", "foo123.foocdn.example, barcdn.example; trace=\"abcdef\", DEMO.localhost:8080;a=b", "a,demo.localhost:8080 ; x"} {
			p.refused(w.ask(get(host, "/", "CDN-Loop: "+loop)), schema.CodeLoop)
		}
		r, _ := p.served(get(host, "/", "CDN-Loop: other.localhost:8080;a=b", "CDN-Loop: localhost:8080, x; y=demo.localhost:8080"), schema.Response{Status: 204})
		if got, want := values(r, "Cdn-Loop"), []string{"other.localhost:8080;a=b", "localhost:8080, x; y=demo.localhost:8080", "demo.localhost:8080"}; !slices.Equal(got, want) {
			t.Errorf("CDN-Loop = %q, want %q", got, want)
		}
		for _, via := range []string{"1.1 other.localhost:8080", "1.1 localhost:8080", "demo.localhost:8080", "1.1"} {
			if _, got := p.served(get(host, "/", "Via: "+via), schema.Response{Status: 204}); got.Status != 204 {
				t.Errorf("Via %q = %d, want 204", via, got.Status)
			}
		}
	})
}

func TestFieldsOfOneConnectionEndAtTheGateway(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		p := w.claim("demo")
		got := w.visit("GET / HTTP/1.1\r\nHost: " + host + "\r\nConnection: close, X-Hop\r\nConnection: x-hop-two\r\nX-Hop: 1\r\nX-Hop-Two: 1\r\n" +
			"Keep-Alive: 1\r\nProxy-Connection: x\r\nProxy-Authorization: x\r\nProxy-Authenticate: x\r\nTE: trailers\r\nTrailer: X\r\nUpgrade: h2c\r\nX-Kept: 1\r\n\r\n")
		r := p.next()
		p.respond(schema.Response{ID: r.ID, Status: 200, Headers: []schema.Field{
			{"Connection", "X-Mine, close"}, {"X-Mine", "1"}, {"Keep-Alive", "1"}, {"Proxy-Connection", "1"}, {"Proxy-Authenticate", "1"},
			{"Proxy-Authentication-Info", "1"}, {"TE", "1"}, {"Trailer", "X"}, {"Upgrade", "h2c"}, {"X-Kept", "1"},
		}})
		answer := got.await()
		for _, name := range []string{
			"Connection", "X-Hop", "X-Hop-Two", "Keep-Alive", "Proxy-Connection", "Proxy-Authorization", "Proxy-Authenticate", "Trailer", "Upgrade",
		} {
			if v := values(r, name); v != nil {
				t.Errorf("the handler got %s: %q", name, v)
			}
		}
		if v := values(r, "Te"); !slices.Equal(v, []string{"trailers"}) {
			t.Errorf("the handler got Te: %q, want that trailers are accepted", v)
		}
		for _, name := range []string{"X-Mine", "Keep-Alive", "Proxy-Connection", "Proxy-Authenticate", "Proxy-Authentication-Info", "TE", "Trailer", "Upgrade"} {
			if v := answer.Header.Get(name); v != "" {
				t.Errorf("the visitor got %s: %q", name, v)
			}
		}
		if values(r, "X-Kept") == nil || answer.Header.Get("X-Kept") != "1" {
			t.Error("an innocent field is dropped")
		}
	})
}

func TestTrailersAreAnnounced(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		p := w.claim("demo")
		v := w.visit(requestTo("POST", host, "/", "Transfer-Encoding: chunked", "Trailer: X-Sum, X-Other") + "1\r\na\r\n0\r\nX-Sum: 1\r\n\r\n")
		r := p.next()
		if got := values(r, "Trailer"); !slices.Equal(got, []string{"X-Other, X-Sum"}) {
			t.Errorf("the handler got Trailer: %q, want what the visitor announced", got)
		}
		p.respond(schema.Response{ID: r.ID, Status: 200, Headers: []schema.Field{{"Trailer", "X-Sum"}}, More: true})
		p.part(schema.Part{ID: r.ID, Seq: 1, Body: new("a"), Trailers: []schema.Field{{"X-Sum", "1"}}}, schema.ResultAccepted)
		got := v.await()
		if got.Status != 200 || string(got.Content) != "a" {
			t.Errorf("answer = %d %q", got.Status, got.Content)
		}
	})
	for name, c := range map[string]struct {
		answer schema.Response
		want   string
	}{
		"more":            {schema.Response{Headers: []schema.Field{{"Trailer", "X-Sum"}}, More: true}, "X-Sum"},
		"more, stated":    {schema.Response{Headers: []schema.Field{{"Trailer", "X-Sum"}, {"Content-Length", "1"}}, More: true}, ""},
		"whole":           {schema.Response{Headers: []schema.Field{{"Trailer", "X-Sum"}}, Body: new("a"), Trailers: []schema.Field{{"X-Sum", "1"}}}, "X-Sum"},
		"whole, no other": {schema.Response{Headers: []schema.Field{{"Trailer", "X-Sum"}}, Body: new("a")}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, Options{}, func(w *world) {
				p := w.claim("demo")
				v := w.dial(visitorAddr)
				v.write([]byte(get(host, "/")))
				r := p.next()
				c.answer.ID, c.answer.Status = r.ID, 200
				p.respond(c.answer)
				resp, err := http.ReadResponse(v.in, nil)
				if err != nil {
					t.Fatal(err)
				}
				announced := ""
				for name := range resp.Trailer {
					announced = name
				}
				if announced != c.want {
					t.Errorf("announced = %q, want %q", announced, c.want)
				}
				if c.answer.More {
					go func() { _, _ = io.Copy(io.Discard, resp.Body) }()
					p.part(schema.Part{ID: r.ID, Seq: 1, Body: new("a")}, schema.ResultAccepted)
				}
			})
		})
	}
}
