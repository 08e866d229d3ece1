package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"reversehttp/server/gateway"
)

func TestForwardRelaysWhatTheVisitorSentAndWhatTheServerAnswers(t *testing.T) {
	for _, shape := range []string{hostShape, pathShape} {
		var got *http.Request
		var sent []byte
		s := local(t, func(w http.ResponseWriter, r *http.Request) {
			got = r
			sent, _ = io.ReadAll(r.Body)
			w.Header()["X-Twice"] = []string{"a", "b"}
			w.Header().Set("Link", "</early>")
			w.WriteHeader(http.StatusEarlyHints)
			w.Header().Set("Trailer", "X-Sum")
			w.WriteHeader(http.StatusTeapot)
			_, _ = io.WriteString(w, "short and stout")
			w.Header().Set("X-Sum", "42")
		})
		l := lend(t, shape, gateway.Options{})
		r := l.claim(t, "forward", s.URL)
		req, err := http.NewRequest("PUT", r.url+"a%2Fb/./c?x=1;y=%zz", io.NopCloser(strings.NewReader("content"))) // of unknown length
		if err != nil {
			t.Fatal(err)
		}
		req.Trailer = http.Header{"X-Check": {"ok"}}
		req.Header.Set("X-Forwarded-For", "1.2.3.4")
		early := 0
		req = req.WithContext(httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got1xxResponse: func(status int, _ textproto.MIMEHeader) error {
			early = status
			return nil
		}}))
		resp, err := l.visitor(t).Do(req)
		if body := content(t, resp, err); early != 103 || resp.StatusCode != 418 || body != "short and stout" || len(resp.Header["X-Twice"]) != 2 || resp.Trailer.Get("X-Sum") != "42" {
			t.Errorf("%s: answer = %s %q %q trailer %q", shape, resp.Status, resp.Header, body, resp.Trailer)
		}
		public, _ := url.Parse(r.url)
		if want := "/a%2Fb/./c?x=1;y=%zz"; got.RequestURI != want {
			t.Errorf("%s: target = %q, want %q", shape, got.RequestURI, want)
		}
		if got.Method != "PUT" || got.Host != public.Host || string(sent) != "content" || got.Trailer.Get("X-Check") != "ok" {
			t.Errorf("%s: server saw %s, host %q, content %q, trailer %q", shape, got.Method, got.Host, sent, got.Trailer)
		}
		h := got.Header
		if h.Get("X-Forwarded-For") != "127.0.0.1" || h.Get("X-Forwarded-Host") != public.Host || h.Get("X-Forwarded-Proto") != "http" || h.Get("Forwarded") == "" || h.Get("Accept-Encoding") != "" {
			t.Errorf("%s: fields = %q, want those of the gateway", shape, h)
		}
		x := r.next("exchange")
		if x.text("method") != "PUT" || x["status"] != 418.0 || x["bytes"] != 15.0 || x.text("target") != "/a%2Fb/./c?x=1;y=%zz" || x["durationMs"] == nil || x["timeMs"] == nil || x.text("id") == "" {
			t.Errorf("%s: event = %v", shape, x)
		}
	}
}

func TestForwardSendsTheChosenHost(t *testing.T) {
	s := local(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Host+" "+r.Header.Get("X-Forwarded-Host"))
	})
	host := strings.TrimPrefix(s.URL, "http://")
	l := lend(t, hostShape, gateway.Options{})
	for flag, want := range map[string]string{"preserve": "{public}", "rewrite": host, "app.test": "app.test"} {
		r := l.claim(t, "forward", host, "--host-header", flag)
		public := strings.Trim(strings.TrimPrefix(r.url, "http://"), "/")
		resp, err := l.visitor(t).Get(r.url)
		if got, want := content(t, resp, err), strings.ReplaceAll(want, "{public}", public)+" "+public; got != want {
			t.Errorf("--host-header %s: host and forwarded host = %q, want %q", flag, got, want)
		}
	}
}

func TestForwardReachesAServerByANameBelowLocalhost(t *testing.T) {
	s := local(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Method+" "+r.RequestURI+" "+r.Host)
	})
	_, port, _ := net.SplitHostPort(s.Listener.Addr().String())
	l := lend(t, hostShape, gateway.Options{})
	r := l.claim(t, "forward", "http://app.localhost:"+port, "--host-header=rewrite")
	resp, err := l.visitor(t).Get(r.url)
	if got, want := content(t, resp, err), "GET / app.localhost:"+port; got != want {
		t.Errorf("server saw %q, want %q", got, want)
	}
	if status, got := raw(t, l.addr, strings.Trim(strings.TrimPrefix(r.url, "http://"), "/"), "OPTIONS", "*"); got != "" || status != 200 {
		t.Errorf("OPTIONS * = %d %q, want what net/http answers by itself", status, got)
	}
}

func TestForwardStreamsEventsOneByOne(t *testing.T) {
	next := make(chan string)
	s := local(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for e := range next {
			fmt.Fprintf(w, "data: %s\n\n", e)
			w.(http.Flusher).Flush()
		}
	})
	l := lend(t, hostShape, gateway.Options{})
	r := l.claim(t, "forward", s.URL)
	go func() { next <- "0" }() // the head arrives with it
	resp, err := l.visitor(t).Get(r.url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	in := bufio.NewReader(resp.Body)
	for i := range 5 {
		if i > 0 {
			next <- fmt.Sprint(i) // only after the earlier one has arrived
		}
		line, err := in.ReadString('\n')
		if want := fmt.Sprintf("data: %d\n", i); line != want {
			t.Fatalf("line = %q %v, want %q", line, err, want)
		}
		_, _ = in.ReadString('\n')
	}
	close(next)
	if rest, err := io.ReadAll(in); len(rest) > 0 || err != nil {
		t.Errorf("rest = %q %v, want the end", rest, err)
	}
}

func TestForwardRelaysASlowAnswerOfKnownLengthAtOnce(t *testing.T) {
	seen := make(chan struct{})
	s := local(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "10")
		_, _ = io.WriteString(w, "first")
		w.(http.Flusher).Flush()
		<-seen
		_, _ = io.WriteString(w, "later")
	})
	l := lend(t, hostShape, gateway.Options{})
	resp, err := l.visitor(t).Get(l.claim(t, "forward", s.URL).url)
	if err != nil {
		close(seen)
		t.Fatal(err)
	}
	defer resp.Body.Close()
	first := make([]byte, 5)
	_, err = io.ReadFull(resp.Body, first)
	close(seen)
	if err != nil || string(first) != "first" {
		t.Errorf("content = %q %v, want the first half before the second is sent", first, err)
	}
}

func TestForwardPassesAnUploadExactly(t *testing.T) {
	t.Parallel()
	s := local(t, func(w http.ResponseWriter, r *http.Request) {
		h := sha256.New()
		n, err := io.Copy(h, r.Body)
		fmt.Fprintf(w, "%d %x %v", n, h.Sum(nil), err)
	})
	upload := make([]byte, 5<<20+3)
	rng := rand.NewChaCha8([32]byte{1})
	_, _ = rng.Read(upload)
	l := lend(t, hostShape, gateway.Options{})
	resp, err := l.visitor(t).Post(l.claim(t, "forward", s.URL).url, "application/octet-stream", bytes.NewReader(upload))
	if got, want := content(t, resp, err), fmt.Sprintf("%d %x <nil>", len(upload), sha256.Sum256(upload)); got != want {
		t.Errorf("the server got %s, want %s", got, want)
	}
}

func TestForwardRelaysWebSockets(t *testing.T) {
	s := local(t, func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer c.CloseNow()
		for {
			kind, message, err := c.Read(r.Context())
			if err != nil || c.Write(r.Context(), kind, message) != nil {
				return
			}
		}
	})
	l := lend(t, hostShape, gateway.Options{})
	r := l.claim(t, "forward", s.URL)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	client := l.visitor(t)
	client.Timeout = 0
	c, _, err := websocket.Dial(ctx, r.url, &websocket.DialOptions{HTTPClient: client})
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseNow()
	for _, want := range []string{"hello", strings.Repeat("long", 5000)} {
		if err := c.Write(ctx, websocket.MessageText, []byte(want)); err != nil {
			t.Fatal(err)
		}
		if _, got, err := c.Read(ctx); err != nil || string(got) != want {
			t.Fatalf("echo = %q %v, want %q", got, err, want)
		}
	}
	_ = c.Close(websocket.StatusNormalClosure, "")
	if x := r.next("exchange"); x["status"] != 101.0 || x["bytes"].(float64) < 20005 {
		t.Errorf("event = %v, want status 101 and what was sent", x)
	}
}

func TestForwardKeepsRedirectsAtThePublicURL(t *testing.T) {
	var to string
	s := local(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Location"] = []string{to}
		w.WriteHeader(http.StatusFound)
	})
	for _, shape := range []string{hostShape, pathShape} {
		l := lend(t, shape, gateway.Options{})
		r := l.claim(t, "forward", s.URL)
		base, _ := url.Parse(r.url)
		below := strings.TrimSuffix(base.Path, "/")
		for given, want := range map[string]string{
			"/login?a=b":              below + "/login?a=b",
			"next":                    "next",
			s.URL + "/x%2Fy#z":        r.url + "x%2Fy#z",
			s.URL:                     r.url,
			s.URL + "?q":              r.url + "?q",
			"http://other.test/login": "http://other.test/login",
			"//other.test/login":      "//other.test/login",
		} {
			to = given
			resp, err := l.visitor(t).Get(r.url)
			content(t, resp, err)
			if got := resp.Header.Get("Location"); got != want {
				t.Errorf("%s: Location %q became %q, want %q", shape, given, got, want)
			}
		}
	}
}

func TestForwardPutsThePathOfTheServerInFront(t *testing.T) {
	s := local(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", "/app/login")
		_, _ = io.WriteString(w, r.RequestURI)
	})
	l := lend(t, pathShape, gateway.Options{})
	r := l.claim(t, "forward", s.URL+"/app/")
	resp, err := l.visitor(t).Get(r.url + "a%2Fb?c")
	if got, want := content(t, resp, err), "/app/a%2Fb?c"; got != want {
		t.Errorf("target = %q, want %q", got, want)
	}
	if got := resp.Header.Get("Location"); !strings.HasSuffix(got, "/login") || strings.Contains(got, "/app/") {
		t.Errorf("Location = %q, want that of the visitor", got)
	}
}

func TestForwardReportsWhatIsWrongWithTheServer(t *testing.T) {
	t.Parallel()
	const gone = "http://127.0.0.1:1" // a port that no test gets, unlike that of a closed server
	mute := local(t, func(w http.ResponseWriter, r *http.Request) { panic(http.ErrAbortHandler) })
	l := lend(t, hostShape, gateway.Options{})
	for _, c := range []struct{ target, detail, fault string }{
		{gone, "does not run", "nothing listens at 127.0.0.1:1"},
		{mute.URL, "proper answer", "closed the connection without an answer"},
		{strings.Replace(mute.URL, "http:", "https:", 1), "proper answer", "speaks no TLS: forward to http://"},
	} {
		r := l.claim(t, "forward", c.target)
		resp, err := l.visitor(t).Post(r.url, "text/plain", strings.NewReader("x"))
		body := content(t, resp, err)
		if resp.StatusCode != 502 || resp.Header.Get("Content-Type") != "application/problem+json" || !strings.Contains(body, c.detail) || strings.Contains(body, "127.0.0.1") {
			t.Errorf("%s: answer = %d %s, want 502 and %q, without the address", c.target, resp.StatusCode, body, c.detail)
		}
		if x := r.next("exchange"); x["status"] != 502.0 || !strings.Contains(x.text("error"), c.fault) {
			t.Errorf("%s: event = %v, want the error %q", c.target, x, c.fault)
		}
	}
}

func TestForwardCutsAnAnswerThatTheServerCut(t *testing.T) {
	t.Parallel()
	seen := make(chan struct{})
	s := local(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "some")
		w.(http.Flusher).Flush()
		<-seen // or the visitor may also get the error for a missing answer
		panic(http.ErrAbortHandler)
	})
	l := lend(t, hostShape, gateway.Options{})
	r := l.claim(t, "forward", s.URL)
	resp, err := l.visitor(t).Get(r.url)
	if err != nil {
		close(seen)
		t.Fatal(err)
	}
	defer resp.Body.Close()
	first := make([]byte, 4)
	_, err = io.ReadFull(resp.Body, first)
	close(seen)
	if err != nil || string(first) != "some" {
		t.Errorf("content = %q %v, want some", first, err)
	}
	if rest, err := io.ReadAll(resp.Body); err == nil || len(rest) > 0 {
		t.Errorf("the answer ended well, with %q, want it cut short", rest)
	}
	if x := r.next("exchange"); x["status"] != 200.0 || x.text("error") != "the answer was cut short" {
		t.Errorf("event = %v, want the error", x)
	}
}

func TestForwardCancelsTheRequestOfAVisitorWhoLeft(t *testing.T) {
	asked, left := make(chan struct{}), make(chan struct{})
	s := local(t, func(w http.ResponseWriter, r *http.Request) {
		close(asked)
		<-r.Context().Done()
		close(left)
	})
	l := lend(t, hostShape, gateway.Options{})
	r := l.claim(t, "forward", s.URL)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-asked; cancel() }()
	req, _ := http.NewRequestWithContext(ctx, "GET", r.url, nil)
	if resp, err := l.visitor(t).Do(req); err == nil {
		t.Fatalf("answer = %s", resp.Status)
	}
	select {
	case <-left:
	case <-time.After(patience):
		t.Fatal("the server was not told")
	}
	if x := r.next("exchange"); !strings.Contains(x.text("error"), "the visitor left") || x["status"] != nil {
		t.Errorf("event = %v, want that the visitor left, and no status, for there was none", x)
	}
}

func TestForwardDoesNotBlameTheServerIfTheVisitorsContentBreaksOff(t *testing.T) {
	asked := make(chan struct{})
	s := local(t, func(w http.ResponseWriter, r *http.Request) {
		close(asked)
		_, _ = io.Copy(io.Discard, r.Body)
	})
	l := lend(t, hostShape, gateway.Options{})
	r := l.claim(t, "forward", s.URL)
	c, err := net.Dial("tcp", l.addr)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: %s\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", strings.Trim(strings.TrimPrefix(r.url, "http://"), "/"))
	<-asked
	c.Close()
	if x := r.next("exchange"); x.text("error") == "" || strings.Contains(x.text("error"), "local server") {
		t.Errorf("event = %v, want an error that blames the visitor", x)
	}
}

func TestATargetMayBeShort(t *testing.T) {
	for given, want := range map[string]string{
		"3000": "http://localhost:3000", ":3000": "http://localhost:3000", "localhost:3000": "http://localhost:3000", "localhost": "http://localhost",
		"http://localhost:3000": "http://localhost:3000", "https://[::1]:8443/app": "https://[::1]:8443/app", "192.0.2.1:80": "http://192.0.2.1:80", "http://:3000": "http://localhost:3000",
	} {
		if got, err := parseTarget(given); err != nil || got.String() != want {
			t.Errorf("%q = %v %v, want %s", given, got, err, want)
		}
	}
	for _, given := range []string{"", "ftp://x", "http://", "99999", "0", "localhost:x", "http://a:b@c", "http://a?b", "http://a#b", "http://a b", "-1"} {
		if got, err := parseTarget(given); err == nil {
			t.Errorf("%q = %s, want an error", given, got)
		} else if strings.Contains(err.Error(), "a:b") {
			t.Errorf("%q: %s shows a password", given, err)
		}
	}
}

var quiet = log.New(io.Discard, "", 0)

func newTLS(t *testing.T, h http.HandlerFunc) *httptest.Server {
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = quiet
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}
