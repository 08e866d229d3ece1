package family

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"reversehttp/server/claim"
	"reversehttp/server/gateway"
)

// named returns the authority of demo.
func (w *town) named() string {
	return strings.TrimSuffix(strings.TrimPrefix(w.Public().Base("demo"), "http://"), "/")
}

// ends fails the test unless the peer ends the connection.
func (c *talk) ends() {
	c.t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(patience))
	if _, err := io.Copy(io.Discard, c); err != nil && strings.Contains(err.Error(), "timeout") {
		c.t.Fatal("the connection is still open")
	}
}

// framer begins HTTP/2 as a server with settings.
func (c *talk) framer(settings ...http2.Setting) *http2.Framer {
	c.t.Helper()
	if _, err := io.ReadFull(c, make([]byte, len(http2.ClientPreface))); err != nil {
		c.t.Fatal(err)
	}
	framer := http2.NewFramer(c.Conn, c)
	if err := framer.WriteSettings(settings...); err != nil {
		c.t.Fatal(err)
	}
	return framer
}

func TestAConnectionWithoutRoomEndsWithItsSession(t *testing.T) {
	t.Parallel() // most of it waits
	renewed := "t1"
	for name, end := range map[string]func(*town){
		"delete": func(w *town) { w.Registry().Lookup("demo").Delete() },
		"token":  func(w *town) { _ = w.Registry().Lookup("demo").Change(claim.Settings{Token: &renewed}) },
		"drain": func(w *town) {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			w.Drain(ctx)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newTown(t, gateway.Options{Times: claim.Times{NoPoller: 5 * time.Second}})
			c := ways["ptth with h2"](w)
			framer := c.framer(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 0})
			for { // until the gateway has them
				f, err := framer.ReadFrame()
				if err != nil {
					t.Fatal(err)
				}
				if s, ok := f.(*http2.SettingsFrame); ok && s.IsAck() {
					break
				}
			}
			v := w.visit("POST", "demo", "/", "x")
			waitFor(t, func() bool { return w.Registry().Stats().Exchanges == 1 })
			waitFor(t, func() bool {
				return !w.Registry().Lookup("demo").State().Sessions[0].Parked || w.Registry().Lookup("demo").State().Queue == 1
			})
			end(w)
			c.ends()
			<-v.done
			if v.err != nil || !strings.Contains(v.resp.Header.Get("Proxy-Status"), "handed=?0") {
				t.Errorf("answer %+v %v, want one of the gateway", v.resp, v.err)
			}
		})
	}
}

func TestARequestThatCannotBeSentHarmsNoOther(t *testing.T) {
	for name, x := range map[string]struct {
		head   string
		status int
	}{
		"a trailer that is no field": {"POST / HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\nTrailer: foo bar\r\nConnection: close\r\n\r\n0\r\n\r\n", 200},
		"more fields than it takes":  {"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nX: " + strings.Repeat("a", 30<<10) + "\r\n\r\n", 502},
	} {
		t.Run(name, func(t *testing.T) {
			w := newTown(t, gateway.Options{})
			p := new(http.Protocols)
			p.SetUnencryptedHTTP2(true)
			s := &http.Server{Protocols: p, MaxHeaderBytes: 8 << 10, Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				_, _ = io.WriteString(rw, "ok")
			})}
			c := ways["ptth with h2"](w)
			w.ends.Go(func() { _ = s.Serve(listenOn(c)) })
			t.Cleanup(func() { _ = s.Close() })
			w.visit("GET", "demo", "/", "").got(200, "ok") // and so the gateway has its bounds
			if _, resp := w.send(strings.ReplaceAll(x.head, "{host}", w.named())); resp.StatusCode != x.status {
				t.Errorf("status %d, want %d", resp.StatusCode, x.status)
			}
			w.visit("GET", "demo", "/", "").got(200, "ok")
		})
	}
}

func TestTheTargetIsExactOnATurnedConnection(t *testing.T) {
	targets := map[string]string{ // "" where it is as sent
		`//a"b|c`: "", "//a%2Fb/%41": "", "//": "", "//?": "", "//a?": "", "/a?": "", "/a#b": "", "/a?x=http://y//": "", "//\xc3\xa9?\xc3\xa9": "",
		"http://{host}": "/", "http://{host}?x=/y": "/?x=/y", "http://{host}/x?y": "/x?y",
	}
	for _, way := range []string{"PTTH", "ptth with h2"} {
		t.Run(way, func(t *testing.T) {
			w := newTown(t, gateway.Options{})
			got := make(chan string, 1)
			w.serveOn(ways[way](w), http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got <- r.RequestURI }))
			for target, want := range targets {
				if want == "" {
					want = target
				}
				w.send("GET " + strings.ReplaceAll(target, "{host}", w.named()) + " HTTP/1.1\r\nHost: " + w.named() + "\r\nConnection: close\r\n\r\n")
				select {
				case seen := <-got:
					// RFC 9112, 3.2.2: a server accepts absolute-form.
					if u, _ := url.Parse(w.Public().Base("demo")); way == "PTTH" {
						seen = strings.TrimPrefix(seen, "http://"+u.Host)
					}
					if seen != want {
						t.Errorf("target %q came as %q, want %q", target, seen, want)
					}
				default:
					t.Errorf("target %q did not come", target)
				}
			}
		})
	}
}

func TestVisitorsWhoDoNotReadHarmNoOther(t *testing.T) {
	w := newTown(t, gateway.Options{})
	const visitors = 32 // more than 4 MiB of windows
	var full atomic.Int32
	w.serveOn(ways["ptth with h2"](w), http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/large" {
			_, _ = io.WriteString(rw, "ok")
			return
		}
		full.Add(1)
		_, _ = io.CopyN(rw, endless{}, 16<<20)
	}))
	for range visitors {
		_, _ = io.WriteString(w.dial(), "GET /large HTTP/1.1\r\nHost: "+w.named()+"\r\n\r\n")
	}
	waitFor(t, func() bool { return full.Load() == visitors })
	for range 50 { // while the windows fill, and after
		w.visit("GET", "demo", "/", "").got(200, "ok")
	}
}

// endless is content without an end.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

func TestAnUploadThatIsRefusedEnds(t *testing.T) {
	w := newTown(t, gateway.Options{})
	c := ways["ptth with h2"](w)
	framer := c.framer()
	v := w.visit("POST", "demo", "/", strings.Repeat("x", 1<<20))
	for {
		f, err := framer.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		if d, ok := f.(*http2.DataFrame); ok {
			if err := framer.WriteRSTStream(d.StreamID, http2.ErrCodeRefusedStream); err != nil {
				t.Fatal(err)
			}
			break
		}
	}
	v.got(502, "*")
}

func TestAnUnprocessedUploadEndsBeforeOtherStreams(t *testing.T) {
	w := newTown(t, gateway.Options{})
	c := ways["ptth with h2"](w)
	framer := c.framer()
	open := w.visit("GET", "demo", "/", "")
	var first uint32
	var upload *visit
	for {
		f, err := framer.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		if h, ok := f.(*http2.HeadersFrame); ok && first == 0 {
			first = h.StreamID
			upload = w.visit("POST", "demo", "/", strings.Repeat("x", 1<<20))
		}
		if _, ok := f.(*http2.DataFrame); ok {
			if err := framer.WriteGoAway(first, http2.ErrCodeNo, nil); err != nil {
				t.Fatal(err)
			}
			break
		}
	}
	upload.got(502, "*")
	select {
	case <-open.done:
		t.Errorf("what is open has ended: %+v %v", open.resp, open.err)
	default:
	}
	if err := framer.WriteRSTStream(first, http2.ErrCodeInternal); err != nil {
		t.Fatal(err)
	}
	open.got(502, "*")
}
