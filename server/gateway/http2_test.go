package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"

	"reversehttp/schema"
	reversehttp "reversehttp/sdk-go"
	"reversehttp/server/problem"
)

// http2 returns a client that speaks HTTP/2 in the clear, and counts its connections.
func (w *world) http2() (client *http.Client, dials *atomic.Int64) {
	dials = new(atomic.Int64)
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{
		Protocols: protocols, DisableCompression: true,
		DialContext: func(context.Context, string, string) (net.Conn, error) {
			dials.Add(1)
			return w.network.dial(visitorAddr)
		},
	}
	w.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: toOrigin{w, transport}, CheckRedirect: w.client.CheckRedirect}, dials
}

// toOrigin sends every request to the control origin's address, so that all share a connection.
type toOrigin struct {
	world *world
	http.RoundTripper
}

func (o toOrigin) RoundTrip(req *http.Request) (*http.Response, error) {
	req, url := req.WithContext(req.Context()), *req.URL
	if req.Host == "" {
		req.Host = url.Host
	}
	req.URL, url.Host = &url, strings.TrimPrefix(o.world.origin(), "http://")
	return o.RoundTripper.RoundTrip(req)
}

// inHTTP2 runs a test in a world whose programs and visitors all speak HTTP/2,
// on one connection.
func inHTTP2(t *testing.T, o Options, test func(w *world)) {
	t.Helper()
	inWorld(t, o, func(w *world) {
		client, dials := w.http2()
		w.client = client
		w.send("GET", "/healthz", "", nil)
		synctest.Wait() // until the transport knows that the connection can be shared
		test(w)
		if n := dials.Load(); n != 1 {
			t.Errorf("there were %d connections, want 1", n)
		}
	})
}

// visitRequest is a visitor's request to the label demo.
func visitRequest(t *testing.T, method, target string, content io.Reader) *http.Request {
	t.Helper()
	req, err := http.NewRequest(method, "http://"+host+target, content)
	if err != nil {
		t.Fatal(err)
	}
	return req
}

// visitor sends a visitor's request, whose answer wait returns.
func (w *world) visitor(method, target string, content io.Reader, fields ...schema.Field) *call {
	w.t.Helper()
	req := visitRequest(w.t, method, target, content)
	for _, f := range fields {
		req.Header.Add(f[0], f[1])
	}
	return w.begin(req)
}

// wait waits for the answer.
func (c *call) wait(t *testing.T) *reply {
	t.Helper()
	<-c.done
	if c.got.Err != nil {
		t.Fatal(c.got.Err)
	}
	return c.got
}

func TestAVisitorAndAProgramShareAConnection(t *testing.T) {
	inHTTP2(t, Options{}, func(w *world) {
		p := w.claim("demo")
		parked := w.begin(w.request("GET", p.Requests, p.Token, nil))
		synctest.Wait()
		v := w.visitor("POST", "/a%2Fb?c=;d", strings.NewReader("hello"), schema.Field{"Cookie", "a=b"}, schema.Field{"TE", "trailers"})
		<-parked.done
		var r schema.Request
		decodeFirst(t, parked.got, &r)
		if r.HTTPVersion != "2.0" || r.Method != "POST" || r.Target != "/a%2Fb?c=;d" || quoted(r.Body) != `"hello"` || r.RemoteAddr != visitorAddr {
			t.Errorf("the handler got %+v", r)
		}
		for name, want := range map[string][]string{"Host": {host}, "Via": {"2.0 " + host}, "Cookie": {"a=b"}, "Te": {"trailers"}, "Content-Length": {"5"}} {
			if got := values(r, name); !slices.Equal(got, want) {
				t.Errorf("%s = %q, want %q", name, got, want)
			}
		}
		p.respond(schema.Response{ID: r.ID, Status: 201, Headers: []schema.Field{{"X-A", "é"}, {"Set-Cookie", "a"}, {"Set-Cookie", "b"}, {"Connection", "x-gone"}, {"X-Gone", "1"}}, Body: new("answer")})
		got := v.wait(t)
		if got.Version != "HTTP/2.0" || got.Status != 201 || string(got.Content) != "answer" {
			t.Errorf("answer = %s %d %q", got.Version, got.Status, got.Content)
		}
		if h := got.Header; h.Get("X-A") != "\xe9" || len(h["Set-Cookie"]) != 2 || h["X-Gone"] != nil || h["Connection"] != nil || h["Content-Type"] != nil || h.Get("Content-Length") != "6" {
			t.Errorf("fields = %v", h)
		}
	})
}

// decodeFirst decodes the first message of a batch.
func decodeFirst(t *testing.T, got *reply, r *schema.Request) {
	t.Helper()
	if got.Err != nil {
		t.Fatal(got.Err)
	}
	messages := into[schema.Batch](t, got).Messages
	if len(messages) == 0 {
		t.Fatal("the batch is empty")
	}
	*r = into[schema.Request](t, &reply{Content: messages[0]})
}

func TestAWaitDoesNotCountAsSlownessInHTTP2(t *testing.T) {
	content := random(1 << 20)
	inWorld(t, Options{ContentGrace: time.Second, ContentRate: 1 << 20}, func(w *world) {
		p := w.claim("demo") // it speaks HTTP/1, which holds little on its way
		visitors := *w
		visitors.client, _ = w.http2()
		v := visitors.visitor("POST", "/", io.MultiReader(bytes.NewReader(content)))
		r := p.next()
		go p.keep()
		time.Sleep(50 * time.Second) // longer than a write may take
		p.respondMore(r.ID, 0)
		fetched := p.fetch(r)
		for i := range 4 {
			time.Sleep(25 * time.Second) // longer than a read may take
			p.respondMore(r.ID, i+1)
			got := make([]byte, len(content)/4)
			if _, err := io.ReadFull(fetched.Body, got); err != nil || !bytes.Equal(got, content[i*len(got):][:len(got)]) {
				t.Fatalf("fetched piece %d: %v; %s", i, err, w.counted("reversehttp_exchanges_total"))
			}
		}
		if rest, err := io.ReadAll(fetched.Body); err != nil || len(rest) > 0 {
			t.Errorf("rest = %q %v", rest, err)
		}
		time.Sleep(50 * time.Second)
		p.part(schema.Part{ID: r.ID, Seq: 5, Body: new("end")}, schema.ResultAccepted)
		if got := v.wait(t); got.Status != 200 || string(got.Content) != "end" {
			t.Errorf("answer = %d %q", got.Status, got.Content)
		}
	})
}

// respondMore begins an answer, or keeps it alive with an empty part.
func (p *program) respondMore(id string, seq int) {
	p.t.Helper()
	if seq > 0 {
		p.part(schema.Part{ID: id, Seq: seq, More: true}, schema.ResultAccepted)
		return
	}
	p.respond(schema.Response{ID: id, Status: 200, More: true})
}

func TestContentStreamsInBothDirectionsAtOnceInHTTP2(t *testing.T) {
	inHTTP2(t, Options{}, func(w *world) {
		p := w.claim("demo")
		upward, up := io.Pipe()
		req := visitRequest(t, "POST", "/", upward)
		req.Trailer = http.Header{"X-Sum": nil}
		answered := make(chan *http.Response)
		go func() {
			resp, err := w.client.Do(req)
			if err != nil {
				t.Error(err)
			}
			answered <- resp
		}()
		r := p.next()
		fetched := p.fetch(r)
		downward, down := io.Pipe()
		post := p.request("POST", r.ResponseURL, p.Token, nil, schema.Field{"Reversehttp-Status", "201"}, schema.Field{"Content-Type", "text/x"})
		post.Body = downward
		post.Trailer = http.Header{"X-Back": nil}
		posted := w.begin(post)
		_, _ = io.WriteString(down, "begun")
		resp := <-answered
		if resp == nil || resp.StatusCode != 201 || resp.Header.Get("Content-Type") != "text/x" {
			t.Fatalf("answer = %+v", resp)
		}
		relayed(t, nil, resp.Body, "begun")
		for i := range 5 { // each direction waits for the other
			relayed(t, up, fetched.Body, fmt.Sprint("up", i))
			relayed(t, down, resp.Body, fmt.Sprint("down", i))
		}
		req.Trailer.Set("X-Sum", "17")
		_ = up.Close()
		if rest, err := io.ReadAll(fetched.Body); err != nil || len(rest) > 0 || fetched.Trailer.Get("X-Sum") != "17" {
			t.Errorf("fetched %q %v, trailers %v", rest, err, fetched.Trailer)
		}
		post.Trailer.Set("X-Back", "é")
		_ = down.Close()
		if rest, err := io.ReadAll(resp.Body); err != nil || len(rest) > 0 || resp.Trailer.Get("X-Back") != "é" {
			t.Errorf("answer %q %v, trailers %v", rest, err, resp.Trailer)
		}
		if got := posted.wait(t); into[schema.Result](t, got).Status != schema.ResultAccepted {
			t.Errorf("posted = %s", got.Content)
		}
	})
}

// relayed sends a piece and reads it at the other end.
func relayed(t *testing.T, to io.Writer, from io.Reader, piece string) {
	t.Helper()
	if to != nil {
		go func() { _, _ = io.WriteString(to, piece) }()
	}
	got := make([]byte, len(piece))
	if _, err := io.ReadFull(from, got); err != nil || string(got) != piece {
		t.Fatalf("relayed %q %v, want %q", got, err, piece)
	}
}

func TestTheResetOfAStreamCancelsTheExchange(t *testing.T) {
	inHTTP2(t, Options{}, func(w *world) {
		p := w.claim("demo")
		endless, _ := io.Pipe()
		for name, content := range map[string]io.Reader{"nothing": nil, "content that nobody reads": endless} {
			v := w.visitor("POST", "/", content)
			r := p.next()
			parked := w.begin(w.request("GET", p.Requests, p.Token, nil))
			synctest.Wait()
			begun := time.Now()
			v.stop()
			<-parked.done
			if got := string(parked.got.Content); !strings.Contains(got, `"type":"cancel","id":"`+r.ID+`","reason":"visitor_gone"`) || time.Since(begun) > 0 {
				t.Errorf("%s: the poll got %s after %s", name, got, time.Since(begun))
			}
		}
	})
}

func TestHeadAnd304HaveALengthInHTTP2(t *testing.T) {
	inHTTP2(t, Options{}, func(w *world) {
		p := w.claim("demo")
		for method, a := range map[string]schema.Response{
			"HEAD": {Status: 200, Headers: []schema.Field{{"Content-Length", "4711"}, {"Content-Type", "a/b"}}},
			"GET":  {Status: 304, Headers: []schema.Field{{"Content-Length", "4711"}, {"Content-Type", "a/b"}}},
		} {
			v := w.visitor(method, "/", nil)
			a.ID = p.next().ID
			p.respond(a)
			<-v.done // with an error for 304, where Go's client misses the content
			if got := v.got; got.Status != a.Status || got.Header.Get("Content-Length") != "4711" || got.Header.Get("Content-Type") != "a/b" || len(got.Content) > 0 {
				t.Errorf("%s: answer = %d %v %q", method, got.Status, got.Header, got.Content)
			}
		}
	})
}

func TestAVisitorWhoIsStillSendingGetsTheRefusalInHTTP2(t *testing.T) {
	inHTTP2(t, Options{ContentBytes: 100_000}, func(w *world) {
		w.claim("demo")
		endless, _ := io.Pipe()
		req := visitRequest(t, "POST", "/", endless)
		req.ContentLength = 200_000
		begun := time.Now()
		got := w.begin(req).wait(t)
		if got.Status != 413 || got.code() != schema.CodeContentTooLarge || got.handed() != "?0" || time.Since(begun) > 0 {
			t.Errorf("answer = %d %s %v after %s, want 413 at once", got.Status, got.Content, got.Header, time.Since(begun))
		}
		// inHTTP2 sees that the connection lives on.
		if got := w.send("GET", "/healthz", "", nil); got.Status != 204 {
			t.Errorf("after it = %d", got.Status)
		}
	})
}

func TestARefusalInHTTP2IsAProblem(t *testing.T) {
	inHTTP2(t, Options{}, func(w *world) {
		w.claim("demo").echo()
		for name, c := range map[string]struct {
			url    string
			fields []schema.Field
			code   schema.Code
		}{
			"another host":   {"http://elsewhere.test/", nil, schema.CodeWrongHost},
			"nobody's label": {"http://nobody.localhost:8080/", nil, schema.CodeNoClaim},
			"giant fields":   {"http://" + host + "/", []schema.Field{{"X-A", strings.Repeat("a", 70_000)}}, schema.CodeFieldsTooLarge},
			"giant target":   {"http://" + host + "/" + strings.Repeat("a", 17_000), nil, schema.CodeTargetTooLong},
			"a loop":         {"http://" + host + "/", []schema.Field{{"Via", "2.0 " + host}}, schema.CodeLoop},
		} {
			req, err := http.NewRequest("GET", c.url, nil)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range c.fields {
				req.Header.Add(f[0], f[1])
			}
			got := w.begin(req).wait(t)
			if got.Status != problem.Status(c.code) || got.code() != c.code || got.handed() != "?0" {
				t.Errorf("%s: answer = %d %s %v, want %s", name, got.Status, got.Content, got.Header, c.code)
			}
		}
	})
}

func TestAnAnswerWithAWrongLengthIsCutInHTTP2(t *testing.T) {
	for content, outcome := range map[string]string{
		"1234":   `reversehttp_exchanges_total{code="",outcome="done"} 1`,
		"123456": `reversehttp_exchanges_total{code="handler_failed",outcome="failed"} 1`,
	} {
		inWorld(t, Options{}, func(w *world) {
			p := w.claim("demo")
			v := w.peer()
			ended := make(chan http2.Frame, 1)
			go func() {
				f, err := v.frames(func(f http2.Frame) bool {
					return f.Header().Type == http2.FrameRSTStream || f.Header().Flags.Has(http2.FlagDataEndStream) && f.Header().StreamID == 1
				})
				if err != nil {
					t.Error(err)
				}
				ended <- f
				_, _ = io.Copy(io.Discard, v.conn)
			}()
			v.send(v.ask(1, host))
			r := p.next()
			p.respond(schema.Response{ID: r.ID, Status: 200, Headers: []schema.Field{{"Content-Length", "5"}}, More: true})
			p.answer(schema.Part{Type: schema.TypePart, ID: r.ID, Seq: 1, Body: &content})
			if f := <-ended; f == nil || f.Header().Type != http2.FrameRSTStream {
				t.Errorf("%q ended with %v, want no clean end", content, f)
			}
			if got := w.counted("reversehttp_exchanges_total"); !slices.Contains(got, outcome) {
				t.Errorf("%q: counted %v, want %s", content, got, outcome)
			}
		})
	}
}

func TestTheGoSDKServesOverHTTP2(t *testing.T) {
	inHTTP2(t, Options{}, func(w *world) { servesOverHTTP2(t, w, reversehttp.TransportFramed) })
	// A client that speaks nothing but HTTP/2 cannot upgrade a connection: the link is given up at once.
	inWorld(t, Options{}, func(w *world) {
		w.client, _ = w.http2()
		servesOverHTTP2(t, w, reversehttp.TransportAuto)
	})
}

// servesOverHTTP2 lets sdk-go serve visitors through a client that speaks HTTP/2.
func servesOverHTTP2(t *testing.T, w *world, transport reversehttp.Transport) {
	s, err := reversehttp.Claim(context.Background(), w.origin(), &reversehttp.Options{Label: "demo", Client: w.client, Transport: transport, Logger: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() {
		served <- s.Serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			n, err := io.Copy(w, r.Body)
			if _, _ = fmt.Fprintf(w, " %s %s %d", r.Proto, r.Method, n); err != nil {
				t.Error(err)
			}
		}))
	}()
	content := random(300 << 10)
	for _, size := range []int{0, 5, 300 << 10} {
		var visitors []*call
		for range 20 {
			visitors = append(visitors, w.visitor("POST", "/", strings.NewReader(string(content[:size]))))
		}
		for _, v := range visitors {
			if got, want := v.wait(t), fmt.Sprintf("%s HTTP/2.0 POST %d", content[:size], size); got.Status != 200 || string(got.Content) != want {
				t.Fatalf("answer = %d with %d bytes, want %d", got.Status, len(got.Content), len(want))
			}
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := <-served; err != nil && !errors.Is(err, reversehttp.ErrClosed) {
		t.Errorf("serve: %v", err)
	}
}
