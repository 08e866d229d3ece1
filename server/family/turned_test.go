package family

import (
	"bufio"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"reversehttp/server/claim"
	"reversehttp/server/gateway"
)

// The ways in which a program's connection turns. Each returns a connection that a server can serve.
var ways = map[string]func(*town) *talk{
	"PTTH": func(w *town) *talk {
		return w.turned("POST /ptth/demo HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer t0\r\nConnection: Upgrade\r\nUpgrade: PTTH/1.0\r\n\r\n")
	},
	"ptth with h2":       func(w *town) *talk { return w.turned(w.ietf("ptth", "h2, http%2F1.1")) },
	"ptth with http/1.1": func(w *town) *talk { return w.turned(w.ietf("ptth", "http%2F1.1")) },
	"reverse with h2":    func(w *town) *talk { return w.turned(w.ietf("reverse", "h2")) },
	"rh2":                func(w *town) *talk { return w.reversed("rh2") },
	"rh1":                func(w *town) *talk { return w.reversed("rh1") },
}

// turned sends head, and returns the connection after 101.
func (w *town) turned(head string) *talk {
	w.t.Helper()
	c, resp := w.send(head)
	if resp.StatusCode != http.StatusSwitchingProtocols {
		content, _ := io.ReadAll(resp.Body)
		w.t.Fatalf("status %d %q, want 101", resp.StatusCode, content)
	}
	return c
}

func (w *town) ietf(protocol, alpn string) string {
	return fmt.Sprintf("GET /.well-known/ptth/%s/ HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer t0\r\nConnection: upgrade\r\nUpgrade: %s\r\nALPN: %s\r\n\r\n",
		url.QueryEscape(strings.TrimSuffix(w.Public().Base("demo"), "/")), protocol, alpn)
}

// eachWay runs a test with a program that serves a handler, in each way.
func eachWay(t *testing.T, h http.Handler, test func(t *testing.T, w *town, way string)) {
	for name, turn := range ways {
		t.Run(name, func(t *testing.T) {
			w := newTown(t, gateway.Options{})
			w.serveOn(turn(w), h)
			waitFor(t, func() bool { return w.Registry().Stats().Polls == 1 })
			test(t, w, name)
		})
	}
}

func TestAProgramOnATurnedConnectionAnswers(t *testing.T) {
	t.Parallel() // most of it waits
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		content, _ := io.ReadAll(r.Body)
		w.Header().Add("Set-Cookie", "a=1")
		w.Header().Add("Set-Cookie", "b=2")
		w.WriteHeader(http.StatusAccepted)
		fmt.Fprintf(w, "%s %s %s %s", r.Method, r.RequestURI, r.Host, content)
	})
	eachWay(t, handler, func(t *testing.T, w *town, way string) {
		host := strings.TrimSuffix(strings.TrimPrefix(w.Public().Base("demo"), "http://"), "/")
		for i := range 3 {
			v := w.visit("POST", "demo", fmt.Sprintf("/a%%2Fb/%d?x=%%zz;y", i), "content")
			v.got(202, fmt.Sprintf("POST /a%%2Fb/%d?x=%%zz;y %s content", i, host))
			if got := v.resp.Header["Set-Cookie"]; len(got) != 2 || got[0] != "a=1" {
				t.Errorf("Set-Cookie = %q, want both", got)
			}
		}
	})
}

func TestContentStreamsOnATurnedConnection(t *testing.T) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex()
		w.Header().Set("Trailer", "Digest")
		in := bufio.NewReader(r.Body)
		for {
			line, err := in.ReadString('\n')
			if err != nil {
				break
			}
			_, _ = io.WriteString(w, "echo "+line)
			_ = http.NewResponseController(w).Flush()
		}
		w.Header().Set("Digest", "d of "+r.Trailer.Get("Check"))
	})
	eachWay(t, handler, func(t *testing.T, w *town, way string) {
		in, out := io.Pipe()
		req, _ := http.NewRequest("POST", w.Public().Base("demo"), in)
		req.Trailer = http.Header{"Check": nil}
		client := w.visitor()
		w.ends.Go(func() { _, _ = io.WriteString(out, "one\n") })
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		back := bufio.NewReader(resp.Body)
		for _, line := range []string{"one\n", "two\n", "three\n"} {
			if line != "one\n" {
				_, _ = io.WriteString(out, line)
			}
			if got, err := back.ReadString('\n'); got != "echo "+line || err != nil {
				t.Fatalf("line %q %v, want echo of %q", got, err, line)
			}
		}
		req.Trailer["Check"] = []string{"sum"}
		out.Close()
		if rest, err := io.ReadAll(back); len(rest) > 0 || err != nil {
			t.Fatalf("rest %q %v", rest, err)
		}
		if got := resp.Trailer.Get("Digest"); got != "d of sum" {
			t.Errorf("trailer %q, want d of sum", got)
		}
	})
}

func TestLargeContentIsExactOnATurnedConnection(t *testing.T) {
	t.Parallel()
	content := make([]byte, 3<<20)
	_, _ = rand.Read(content)
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got, _ := io.ReadAll(r.Body)
		w.Header().Set("Content-Length", fmt.Sprint(len(got)))
		_, _ = w.Write(got)
	})
	eachWay(t, handler, func(t *testing.T, w *town, way string) {
		v := w.visit("POST", "demo", "/", string(content))
		v.got(200, string(content))
		if v.resp.ContentLength != int64(len(content)) {
			t.Errorf("length %d, want %d", v.resp.ContentLength, len(content))
		}
	})
}

func TestAVisitorWhoLeavesCancelsOnATurnedConnection(t *testing.T) {
	began, ended := make(chan struct{}, 1), make(chan error, 1)
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began <- struct{}{}
		<-r.Context().Done()
		ended <- r.Context().Err()
	})
	eachWay(t, handler, func(t *testing.T, w *town, way string) {
		ctx, leave := context.WithCancel(t.Context())
		req, _ := http.NewRequestWithContext(ctx, "GET", w.Public().Base("demo"), nil)
		client := w.visitor()
		w.ends.Go(func() {
			if resp, err := client.Do(req); err == nil {
				resp.Body.Close()
			}
		})
		<-began
		leave()
		select {
		case <-ended:
		case <-time.After(patience):
			t.Fatal("the handler's context did not end")
		}
	})
}

func TestInterimResponsesPassOnATurnedConnection(t *testing.T) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusProcessing)
		w.Header().Set("Link", "</a.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Del("Link")
		_, _ = io.WriteString(w, "done")
	})
	eachWay(t, handler, func(t *testing.T, w *town, way string) {
		c, resp := w.send("GET / HTTP/1.1\r\nHost: " + strings.TrimSuffix(strings.TrimPrefix(w.Public().Base("demo"), "http://"), "/") + "\r\n\r\n")
		if resp.StatusCode != 102 {
			t.Fatalf("first response %+v, want 102", resp)
		}
		if resp = c.response(); resp.StatusCode != 103 || resp.Header.Get("Link") == "" {
			t.Fatalf("second response %+v, want 103 with Link", resp)
		}
		if resp = c.response(); resp.StatusCode != 200 {
			t.Fatalf("final response %+v, want 200", resp)
		}
	})
}

func TestHEADAndStatusesWithoutContentOnATurnedConnection(t *testing.T) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/204":
			w.WriteHeader(204)
		case "/304":
			w.Header().Set("Etag", `"a"`)
			w.WriteHeader(304)
		case "/205": // of an unknown length
			w.WriteHeader(205)
			_ = http.NewResponseController(w).Flush()
		default:
			w.Header().Set("Content-Length", "11")
			_, _ = io.WriteString(w, "hello there")
		}
	})
	eachWay(t, handler, func(t *testing.T, w *town, way string) {
		v := w.visit("HEAD", "demo", "/", "")
		v.got(200, "")
		if v.resp.ContentLength != 11 {
			t.Errorf("length of HEAD = %d, want 11", v.resp.ContentLength)
		}
		w.visit("GET", "demo", "/204", "").got(204, "")
		w.visit("GET", "demo", "/304", "").got(304, "")
		w.visit("GET", "demo", "/205", "").got(205, "")
		w.visit("GET", "demo", "/", "").got(200, "hello there")
	})
}

func TestWebSocketsPassOnATurnedConnectionOfHTTP1(t *testing.T) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
		if err != nil {
			return
		}
		for {
			kind, b, err := c.Read(r.Context())
			if err != nil {
				return
			}
			_ = c.Write(r.Context(), kind, append([]byte("echo "), b...))
		}
	})
	eachWay(t, handler, func(t *testing.T, w *town, way string) {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		c, resp, err := websocket.Dial(ctx, w.Public().Base("demo"), &websocket.DialOptions{HTTPClient: w.visitor()})
		if strings.HasSuffix(way, "h2") {
			if err == nil || resp == nil || resp.StatusCode != http.StatusUpgradeRequired {
				t.Fatalf("%v %v, want 426 of a handler that sees no upgrade", resp, err)
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		for i := range 3 {
			if err := c.Write(ctx, websocket.MessageText, fmt.Append(nil, i)); err != nil {
				t.Fatal(err)
			}
			if _, got, err := c.Read(ctx); string(got) != fmt.Sprint("echo ", i) || err != nil {
				t.Fatalf("read %q %v", got, err)
			}
		}
		if err := c.Close(websocket.StatusNormalClosure, "bye"); err != nil {
			t.Errorf("close: %v", err)
		}
	})
}

func TestAnInvalidResponseIsA502(t *testing.T) {
	for name, said := range map[string]string{
		"garbage":        "\x00\x01 what\r\n\r\n",
		"truncated head": "HTTP/1.1 200 OK\r\nContent-Le",
		"bad status":     "HTTP/1.1 99999 no\r\n\r\n",
		"two lengths":    "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
		"giant head":     "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("a", 1<<20) + "\r\n\r\n",
		"short content":  "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab",
		"101 unasked":    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			w := newTown(t, gateway.Options{})
			c := ways["PTTH"](w)
			v := w.visit("GET", "demo", "/", "")
			c.request()
			_, _ = io.WriteString(c.Conn, said)
			if c, ok := c.Conn.(interface{ CloseWrite() error }); ok {
				_ = c.CloseWrite()
			}
			v.got(502, "*")
		})
	}
}

func TestABareLFAndAnUnknownLengthAreAccepted(t *testing.T) {
	w := newTown(t, gateway.Options{})
	c := ways["PTTH"](w)
	v := w.visit("GET", "demo", "/", "")
	c.request()
	c.say("HTTP/1.0 200 OK\nContent-Type: text/plain\n\nthe rest")
	c.Conn.Close()
	v.got(200, "the rest")
}

func TestAnOriginThatSendsFirstLosesItsConnection(t *testing.T) {
	t.Parallel() // most of it waits
	w := newTown(t, gateway.Options{Times: claim.Times{NoPoller: time.Second}})
	c := ways["PTTH"](w)
	c.say("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged")
	_ = c.SetReadDeadline(time.Now().Add(patience))
	if b, err := io.ReadAll(c); err != nil || len(b) > 0 {
		t.Fatalf("read %q %v, want the end", b, err)
	}
	w.visit("GET", "demo", "/", "").got(503, "*")
}

func TestADeviceIsParkedUntilAVisitorComes(t *testing.T) {
	w := newTown(t, gateway.Options{})
	c := &talk{Conn: w.dial(), t: t}
	c.in = bufio.NewReader(c.Conn)
	ask := "POST /demo HTTP/1.1\r\nHost: " + w.host() + "\r\nAuthorization: Bearer t0\r\nUpgrade: PTTH/1.0\r\nConnection: Upgrade\r\n\r\n"
	c.say(ask)
	waitFor(t, func() bool { return w.Registry().Stats().Polls == 1 })
	v := w.visit("GET", "demo", "/x", "")
	if resp := c.response(); resp.StatusCode != 101 || resp.Header.Get("Upgrade") != "PTTH/1.0" {
		t.Fatalf("response %+v, want 101", resp)
	}
	if r := c.request(); r.RequestURI != "/x" {
		t.Fatalf("target %q, want /x", r.RequestURI)
	}
	c.say("HTTP/1.0 200 OK\r\n\r\nfrom the device")
	c.Conn.Close()
	v.got(200, "from the device")
}

func waitFor(t *testing.T, done func() bool) {
	t.Helper()
	for until := time.Now().Add(patience); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(until) {
			t.Fatal("it did not come")
		}
	}
}

func TestAProgramThatMayNotServeGetsAnError(t *testing.T) {
	w := newTown(t, gateway.Options{})
	w.serveOn(ways["PTTH"](w), http.NotFoundHandler())
	origin := url.QueryEscape(strings.TrimSuffix(w.Public().Base("demo"), "/"))
	for name, c := range map[string]struct {
		head   string
		status int
		code   string
	}{
		"no upgrade":       {"GET /ptth/demo HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer t0\r\n\r\n", 426, "upgrade_needed"},
		"no Connection":    {"POST /ptth/demo HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer t0\r\nUpgrade: PTTH/1.0\r\n\r\n", 426, "upgrade_needed"},
		"no token":         {"POST /ptth/demo HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: PTTH/1.0\r\n\r\n", 401, "token_needed"},
		"wrong token":      {"POST /ptth/demo HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: PTTH/1.0\r\nAuthorization: Bearer t1\r\n\r\n", 403, "label_taken"},
		"bad label":        {"POST /ptth/De_mo HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: PTTH/1.0\r\nAuthorization: Bearer t1\r\n\r\n", 400, "bad_label"},
		"no ALPN":          {"GET /.well-known/ptth/" + origin + "/ HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: ptth\r\nAuthorization: Bearer t0\r\n\r\n", 400, "bad_request"},
		"strange ALPN":     {"GET /.well-known/ptth/" + origin + "/ HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: ptth\r\nALPN: h3\r\nAuthorization: Bearer t0\r\n\r\n", 400, "bad_request"},
		"another's origin": {"GET /.well-known/ptth/https%3A%2F%2Fexample.com/ HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: ptth\r\nALPN: h2\r\nAuthorization: Bearer t0\r\n\r\n", 403, "wrong_origin"},
		"one of two":       {"GET /.well-known/ptth/" + strings.Replace(origin, "demo", "mine", 1) + "," + origin + "/ HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: ptth\r\nALPN: h2\r\nAuthorization: Bearer t1\r\n\r\n", 403, "label_taken"},
		"device, no token": {"POST /demo HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: PTTH/1.0\r\n\r\n", 401, "token_needed"},
	} {
		t.Run(name, func(t *testing.T) {
			_, resp := w.send(c.head)
			content, _ := io.ReadAll(resp.Body)
			if resp.StatusCode != c.status || !strings.Contains(string(content), `"`+c.code+`"`) {
				t.Errorf("%d %s, want %d %s", resp.StatusCode, content, c.status, c.code)
			}
		})
	}
	if n := w.Registry().Stats().Sessions; n != 1 {
		t.Errorf("%d sessions, want the one that serves", n)
	}
}

func TestAConnectionServesSeveralOrigins(t *testing.T) {
	w := newTown(t, gateway.Options{})
	origins := url.QueryEscape(strings.TrimSuffix(w.Public().Base("one"), "/")) + "," + url.QueryEscape(strings.TrimSuffix(w.Public().Base("two"), "/"))
	c := w.turned("GET /.well-known/ptth/" + origins + "/ HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer t0\r\nConnection: upgrade\r\nUpgrade: ptth\r\nALPN: h2\r\n\r\n")
	w.serveOn(c, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(rw, r.Host) }))
	w.visit("GET", "one", "/", "").got(200, strings.TrimSuffix(strings.TrimPrefix(w.Public().Base("one"), "http://"), "/"))
	w.visit("GET", "two", "/", "").got(200, strings.TrimSuffix(strings.TrimPrefix(w.Public().Base("two"), "http://"), "/"))
}

func TestAConnectionOfHTTP1HasOneRequestAtATime(t *testing.T) {
	w := newTown(t, gateway.Options{})
	c := ways["PTTH"](w)
	first, second := w.visit("POST", "demo", "/1", ""), w.visit("POST", "demo", "/2", "")
	c.request()
	waitFor(t, func() bool { return w.Registry().Lookup("demo").State().Queue == 1 })
	other := ways["PTTH"](w)
	other.request()
	other.say("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	c.say("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	first.got(200, "")
	second.got(200, "")
	asked := make(chan *talk)
	for _, one := range []*talk{c, other} {
		w.ends.Go(func() {
			for {
				if _, err := http.ReadRequest(one.in); err != nil {
					return
				}
				asked <- one
			}
		})
	}
	for range 20 { // each time a request ends, the connection has room for the next
		v := w.visit("GET", "demo", "/", "")
		waitFor(t, func() bool { return len(w.Registry().Lookup("demo").State().Sessions) == 2 })
		select {
		case one := <-asked:
			one.say("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		case <-time.After(patience):
			t.Fatal("neither connection has the request")
		}
		v.got(200, "")
	}
}
