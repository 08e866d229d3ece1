package gateway

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"reversehttp/schema"
)

func TestAnswersThatHaveNoContent(t *testing.T) {
	body := "hello"
	for _, c := range []struct {
		name, method string
		answer       schema.Response
		length       string // of the Content-Length field; "-" means absent
	}{
		{"HEAD with content", "HEAD", schema.Response{Status: 200, Body: &body}, "5"},
		{"HEAD with a length", "HEAD", schema.Response{Status: 200, Headers: []schema.Field{{"Content-Length", "1234"}}}, "1234"},
		{"HEAD without", "HEAD", schema.Response{Status: 200}, "-"},
		{"HEAD not found", "HEAD", schema.Response{Status: 404, Body: &body}, "5"},
		{"204", "GET", schema.Response{Status: 204}, "-"},
		{"205", "GET", schema.Response{Status: 205}, "0"},
		{"304", "GET", schema.Response{Status: 304}, "-"},
		{"304 with a length", "GET", schema.Response{Status: 304, Headers: []schema.Field{{"Content-Length", "77"}, {"Content-Type", "text/x"}}}, "77"},
		{"304 to HEAD", "HEAD", schema.Response{Status: 304, Headers: []schema.Field{{"content-length", "77"}}}, "77"},
		{"empty 200", "GET", schema.Response{Status: 200}, "0"},
		{"empty error", "POST", schema.Response{Status: 500}, "0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			inWorld(t, Options{}, func(w *world) {
				p := w.claim("demo")
				v := w.dial(visitorAddr)
				for range 2 { // on the same connection, so nothing may be left on it
					v.write(fmt.Appendf(nil, "%s / HTTP/1.1\r\nHost: %s\r\n\r\n", c.method, host))
					a := c.answer
					a.ID = p.next().ID
					p.respond(a)
					got := v.read(c.method)
					if got.Err != nil || got.Status != c.answer.Status || len(got.Content) > 0 {
						t.Errorf("answer = %d %q %v, want %d without content", got.Status, got.Content, got.Err, c.answer.Status)
					}
					length := "-"
					if l := got.Header["Content-Length"]; len(l) > 0 {
						length = strings.Join(l, ",")
					}
					if length != c.length {
						t.Errorf("Content-Length = %s, want %s", length, c.length)
					}
				}
			})
		})
	}
}

func TestTheGatewayAddsNothingButViaAndDate(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		p := w.claim("demo")
		body := "<html>"
		_, got := p.served(get(host, "/", "Accept-Encoding: gzip"), schema.Response{Status: 200, Body: &body})
		for name := range got.Header {
			switch name {
			case "Via", "Date", "Content-Length", "Connection":
			default:
				t.Errorf("the gateway added %s: %q", name, got.Header[name])
			}
		}
		if via := got.Header.Get("Via"); via != "1.1 demo.localhost:8080" {
			t.Errorf("Via = %q", via)
		}
		_, got = p.served(get(host, "/"), schema.Response{Status: 200, Headers: []schema.Field{
			{"Date", "Thu, 01 Jan 1970 00:00:00 GMT"}, {"via", "1.0 inner"}, {"Server", "mine"}, {"Set-Cookie", "a=1"}, {"set-cookie", "b=2"},
		}})
		if d := got.Header["Date"]; len(d) != 1 || !strings.HasPrefix(d[0], "Thu, 01 Jan 1970") {
			t.Errorf("Date = %q, want the handler's", d)
		}
		if via := strings.Join(got.Header["Via"], ", "); via != "1.0 inner, 1.1 demo.localhost:8080" {
			t.Errorf("Via = %q, want it extended", via)
		}
		if c := got.Header["Set-Cookie"]; len(c) != 2 {
			t.Errorf("cookies = %q, want two fields", c)
		}
	})
}

func TestEveryStatusIsRelayed(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		p := w.claim("demo")
		for _, status := range []int{200, 206, 299, 300, 399, 418, 451, 499, 500, 503, 599} {
			_, got := p.served(get(host, "/"), schema.Response{Status: status})
			if got.Status != status || got.Header.Get("Proxy-Status") != "" {
				t.Errorf("answer = %d %v, want the handler's %d", got.Status, got.Header, status)
			}
		}
	})
}

func TestMethodsAreRelayedUnchanged(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		p := w.claim("demo")
		for _, method := range []string{"GET", "TRACE", "OPTIONS", "PATCH", "PROPFIND", "get", "X-1!", "PURGE"} {
			r, got := p.served(requestTo(method, host, "/"), schema.Response{Status: 204})
			if r.Method != method || got.Status != 204 {
				t.Errorf("%s came as %s and got %d", method, r.Method, got.Status)
			}
		}
		r, _ := p.served(requestTo("OPTIONS", host, "*"), schema.Response{Status: 204})
		if r.Target != "*" || r.URL != "http://"+host {
			t.Errorf("OPTIONS * came as %q of %q", r.Target, r.URL)
		}
		p.refused(w.ask("CONNECT "+host+" HTTP/1.1\r\nHost: "+host+"\r\n\r\n"), schema.CodeBadRequest)
	})
}

func TestTargetsInAbsoluteForm(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		p := w.claim("demo")
		for target, url := range map[string]string{
			"http://" + host + "/a?b":  "http://" + host + "/a?b",
			"http://" + host:           "http://" + host,
			"http://" + host + "?q":    "http://" + host + "?q",
			"https://DEMO.localhost/x": "http://" + host + "/x",
			"http://" + host + "/%zz":  "http://" + host + "/%zz",
		} {
			r, _ := p.served(get("ignored.example", target), schema.Response{Status: 204})
			if r.Target != target || r.URL != url {
				t.Errorf("%s came as %q of %q, want url %q", target, r.Target, r.URL, url)
			}
		}
	})
}

func TestAVisitorOfHTTP10(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		p := w.claim("demo")
		body := "hello"
		v := w.visit("POST /old HTTP/1.0\r\nHost: " + host + "\r\nContent-Length: 2\r\n\r\nhi")
		r := p.next()
		if r.HTTPVersion != "1.0" || r.Body == nil || *r.Body != "hi" {
			t.Errorf("the handler got version %s and %s", r.HTTPVersion, quoted(r.Body))
		}
		p.respond(schema.Response{ID: r.ID, Status: 200, Body: &body})
		got := v.await()
		if got.Status != 200 || string(got.Content) != body || got.Header.Get("Content-Length") != "5" || got.Header.Get("Transfer-Encoding") != "" {
			t.Errorf("answer = %+v", got)
		}
		if rest := v.rest(); len(rest) > 0 {
			t.Errorf("after the answer came %q; the connection must end", rest)
		}
	})
}

func TestContentIsExact(t *testing.T) {
	every := make([]byte, 1024)
	for i := range every {
		every[i] = byte(i)
	}
	inWorld(t, Options{}, func(w *world) {
		p := w.claim("demo")
		for _, content := range []string{string(every), "\xef\xbb\xbfbom", "a\r\nb\x00", "\xff", "\"\\/\u2028<&>", strings.Repeat("é", 30_000)} {
			for _, method := range []string{"POST", "GET", "DELETE", "PUT"} {
				v := w.dial(visitorAddr)
				v.write([]byte(requestTo(method, host, "/", fmt.Sprint("Content-Length: ", len(content))) + content))
				r := p.next()
				if got := contentOf(r); got != content {
					t.Errorf("%s: the handler got %.40q, want %.40q", method, got, content)
				}
				encoded := base64.StdEncoding.EncodeToString([]byte(content))
				p.respond(schema.Response{ID: r.ID, Status: 200, BodyBase64: &encoded})
				if got := v.read(method); string(got.Content) != content {
					t.Errorf("%s: the visitor got %.40q, want %.40q", method, got.Content, content)
				}
			}
		}
	})
}

// contentOf returns the content of a request.
func contentOf(r schema.Request) string {
	if r.BodyBase64 != nil {
		b, _ := base64.StdEncoding.DecodeString(*r.BodyBase64)
		return string(b)
	}
	if r.Body != nil {
		return *r.Body
	}
	return ""
}

func TestAVisitorWhoLeavesIsCancelled(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		p := w.claim("demo")
		v := w.visit(get(host, "/"))
		r := p.next()
		c := w.begin(w.request("GET", p.Requests, "t0", nil))
		synctest.Wait()
		_ = v.conn.Close()
		<-c.done
		want := fmt.Sprintf(`{"type":"cancel","id":%q,"reason":"visitor_gone"}`, r.ID)
		if !strings.Contains(string(c.got.Content), want) {
			t.Errorf("the poll gave %d %s, want %s", c.got.Status, c.got.Content, want)
		}
		if got := p.answer(schema.Response{Type: "response", ID: r.ID, Status: 200}); got.Status != schema.ResultLate {
			t.Errorf("answer = %s, want late", got.Status)
		}
	})
}

func TestAVisitorWhoReadsNothingHoldsAnAnswerForALimitedTime(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		p := w.claim("demo")
		v := w.dial(visitorAddr)
		v.write([]byte(get(host, "/")))
		r := p.next()
		body := strings.Repeat("a", 100_000)
		p.respond(schema.Response{ID: r.ID, Status: 200, Body: &body})
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if resp, err := http.ReadResponse(bufio.NewReader(v.conn), nil); err == nil {
			got := newReply(resp, nil)
			if got.Err == nil {
				t.Errorf("after ten minutes the whole answer is there: %d bytes", len(got.Content))
			}
		}
	})
}
