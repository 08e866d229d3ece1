package gateway

import (
	"bytes"
	"context"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"reversehttp/schema"
)

// peer speaks HTTP/2 frame by frame.
type peer struct {
	t      *testing.T
	conn   net.Conn
	framer *http2.Framer
	block  bytes.Buffer
	fields *hpack.Encoder
}

// peer connects and sends a client's first frames.
func (w *world) peer() *peer {
	w.t.Helper()
	conn, err := w.network.dial(visitorAddr)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = conn.Close() })
	p := &peer{t: w.t, conn: conn, framer: http2.NewFramer(conn, conn)}
	p.fields = hpack.NewEncoder(&p.block)
	p.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		w.t.Fatal(err)
	}
	p.send(p.framer.WriteSettings())
	return p
}

func (p *peer) send(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

// ask opens a stream with a request without content.
func (p *peer) ask(stream uint32, authority string, fields ...schema.Field) error {
	p.block.Reset()
	for _, f := range append([]schema.Field{{":method", "GET"}, {":scheme", "http"}, {":path", "/"}, {":authority", authority}}, fields...) {
		_ = p.fields.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]})
	}
	return p.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: p.block.Bytes(), EndHeaders: true, EndStream: true})
}

// frames reads until found returns true for a frame, or until the end.
func (p *peer) frames(found func(http2.Frame) bool) (http2.Frame, error) {
	for {
		f, err := p.framer.ReadFrame()
		if err != nil || found(f) {
			return f, err
		}
	}
}

func isGoAway(f http2.Frame) bool { return f.Header().Type == http2.FrameGoAway }

func TestAConnectionHasBoundedStreams(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		p := w.claim("demo")
		v := w.peer()
		f, err := v.frames(func(f http2.Frame) bool { return f.Header().Type == http2.FrameSettings })
		if err != nil {
			t.Fatal(err)
		}
		if n, _ := f.(*http2.SettingsFrame).Value(http2.SettingMaxConcurrentStreams); n != streamsAtOnce {
			t.Errorf("the announced bound is %d, want %d", n, streamsAtOnce)
		}
		if n, _ := f.(*http2.SettingsFrame).Value(http2.SettingMaxFrameSize); n > streamWindow {
			t.Errorf("a frame may have %d bytes, more than may be on their way", n)
		}
		refused := make(chan uint32, 1)
		go func() {
			f, err := v.frames(func(f http2.Frame) bool { return f.Header().Type == http2.FrameRSTStream })
			if err != nil {
				t.Error(err)
				return
			}
			refused <- f.Header().StreamID
		}()
		v.send(v.framer.WriteSettingsAck())
		for i := range uint32(streamsAtOnce + 1) {
			v.send(v.ask(2*i+1, host))
		}
		if stream := <-refused; stream != 2*streamsAtOnce+1 {
			t.Errorf("stream %d was refused, want the last one", stream)
		}
		synctest.Wait()
		if n := w.gateway.registry.Stats().Exchanges; n != streamsAtOnce {
			t.Errorf("there are %d exchanges, want %d", n, streamsAtOnce)
		}
		_ = v.conn.Close()
		synctest.Wait()
		if n := w.gateway.registry.Stats().Exchanges; n != 0 {
			t.Errorf("there are %d exchanges after it left", n)
		}
		_ = p
	})
}

func TestRapidResetsEndTheConnectionAndNothingElse(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		w.claim("demo")
		v := w.peer()
		ended := make(chan http2.ErrCode, 1)
		go func() {
			defer close(ended)
			if f, err := v.frames(isGoAway); err == nil {
				ended <- f.(*http2.GoAwayFrame).ErrCode
			}
			_, _ = io.Copy(io.Discard, v.conn)
		}()
		most := 0
		for i := range uint32(3_000) {
			if v.ask(2*i+1, host) != nil || v.framer.WriteRSTStream(2*i+1, http2.ErrCodeCancel) != nil {
				break
			}
			most = max(most, w.gateway.registry.Stats().Exchanges)
		}
		if most > streamsAtOnce {
			t.Errorf("there were %d exchanges at once, want %d at most", most, streamsAtOnce)
		}
		_ = v.conn.Close()
		synctest.Wait()
		if code, told := <-ended; told && code != http2.ErrCodeEnhanceYourCalm {
			t.Errorf("the connection ended with %v", code)
		}
		if n := w.gateway.registry.Stats().Exchanges; n != 0 {
			t.Errorf("%d exchanges are left", n)
		}
	})
}

func TestAHostBesideAnotherAuthorityIsRefused(t *testing.T) {
	for beside, want := range map[string]string{host: "200", "elsewhere.test": "400"} {
		inWorld(t, Options{}, func(w *world) {
			p := w.claim("demo")
			v := w.peer()
			status := make(chan string, 1)
			go func() {
				f, err := v.frames(func(f http2.Frame) bool { return f.Header().Type == http2.FrameHeaders })
				if err != nil {
					t.Error(err)
					close(status)
					return
				}
				status <- f.(*http2.MetaHeadersFrame).PseudoValue("status")
				_, _ = io.Copy(io.Discard, v.conn)
			}()
			v.send(v.ask(1, host, schema.Field{"host", beside}))
			if want == "200" {
				r := p.next()
				if got := values(r, "Host"); !slices.Equal(got, []string{host}) {
					t.Errorf("Host = %q", got)
				}
				p.respond(schema.Response{ID: r.ID, Status: 200})
			}
			if got := <-status; got != want {
				t.Errorf("host %s: answer = %s, want %s", beside, got, want)
			}
		})
	}
}

func TestAContentLengthThatIsWrongIsRefused(t *testing.T) {
	for want, all := range map[string][][]schema.Field{
		"200": {nil, {{"content-length", "0"}}},
		"400": {{{"content-length", "10"}}, {{"content-length", "abc"}}, {{"content-length", "0"}, {"content-length", "10"}}, {{"content-length", ""}}},
	} {
		for _, fields := range all {
			inWorld(t, Options{}, func(w *world) {
				p := w.claim("demo")
				v := w.peer()
				status := make(chan string, 1)
				go func() {
					defer close(status)
					f, err := v.frames(func(f http2.Frame) bool { return f.Header().Type == http2.FrameHeaders })
					if err != nil {
						t.Error(err)
						return
					}
					status <- f.(*http2.MetaHeadersFrame).PseudoValue("status")
					_, _ = io.Copy(io.Discard, v.conn)
				}()
				v.send(v.ask(1, host, fields...)) // without content
				synctest.Wait()
				if n := w.gateway.registry.Stats().Exchanges; (n == 1) != (want == "200") {
					t.Errorf("%v: %d exchanges, want one only if the request is a 200", fields, n)
				}
				if want == "200" {
					p.respond(schema.Response{ID: p.next().ID, Status: 200})
				}
				if got := <-status; got != want {
					t.Errorf("%v: answer = %s, want %s", fields, got, want)
				}
			})
		}
	}
}

func TestFramesThatLookLikeAHeadAreUnchanged(t *testing.T) {
	// As much as net/http reads at once of HTTP/1, in the form of a request line.
	value := "a /%zz HTTP/1.1" + strings.Repeat("x", readBuffer)
	value = value[:readBuffer]
	inBothWorlds(t, Options{}, func(w *world) {
		p := w.claim("demo")
		v := w.peer()
		go func() { _, _ = io.Copy(io.Discard, v.conn) }()
		v.send(v.ask(1, host))
		first := p.next()
		// RFC 7541, 6.2.2: the field is in the frame unencoded, and ends it.
		var frame bytes.Buffer
		v.framer = http2.NewFramer(&frame, v.conn)
		v.send(v.ask(3, host))
		block := append(v.block.Bytes(), "\x00\x03x-a\x7f\x81\x1f"+value...)
		frame.Reset()
		v.send(v.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 3, BlockFragment: block, EndHeaders: true, EndStream: true}))
		head, rest := frame.Bytes()[:frame.Len()-len(value)], frame.Bytes()[frame.Len()-len(value):]
		_, err := v.conn.Write(head)
		v.send(err)
		p.respond(schema.Response{ID: first.ID, Status: 204}) // the connection is idle then
		synctest.Wait()
		_, err = v.conn.Write(rest)
		v.send(err)
		if got := values(p.next(), "X-A"); !slices.Equal(got, []string{value}) {
			t.Errorf("the handler got %.20q, want %.20q", got, value)
		}
	})
}

func TestAnIdleConnectionOfHTTP2Ends(t *testing.T) {
	inBothWorlds(t, Options{Idle: 5 * time.Second}, func(w *world) {
		v := w.peer()
		begun := time.Now()
		f, err := v.frames(isGoAway)
		if err != nil || f.(*http2.GoAwayFrame).ErrCode != http2.ErrCodeNo {
			t.Errorf("it ended with %v %v", f, err)
		}
		_, _ = io.Copy(io.Discard, v.conn)
		if took := time.Since(begun); took < 2*time.Second || took > 7*time.Second {
			t.Errorf("it lived for %s", took)
		}
	})
}

func TestAnIncompletePrefaceEndsTheConnection(t *testing.T) {
	for said, problem := range map[string]bool{"": false, "PRI * HTTP": true, "PRI * HTTP/2.0\r\n\r\n": true} {
		inBothWorlds(t, Options{FieldTime: 3 * time.Second}, func(w *world) {
			begun := time.Now()
			v := w.dial(visitorAddr)
			v.write([]byte(said))
			rest := v.rest()
			if took := time.Since(begun); bytes.Contains(rest, []byte("too_slow")) != problem || took != 3*time.Second {
				t.Errorf("%q: the connection ended after %s with %q", said, took, rest)
			}
		})
	}
}

func TestARequestThatBeginsLikeAPrefaceIsRefused(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		for _, raw := range []string{"PRI * HTTP/2.0\r\n\r\nSX\r\n\r\n", "PRI * HTTP/2.0\r\nHost: " + host + "\r\n\r\nSM\r\n\r\n", "PRI /a HTTP/1.1\r\n\r\n"} {
			if got := w.ask(raw); got.Status < 400 || got.code() == "" {
				t.Errorf("%q: answer = %d %s", raw, got.Status, got.Content)
			}
		}
	})
}

func TestAVisitorWhoReadsNothingEndsItsStream(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		p := w.claim("demo")
		v := w.peer()
		reset, lives := make(chan time.Time, 1), make(chan http2.Frame, 1)
		go func() {
			_, err := v.frames(func(f http2.Frame) bool { return f.Header().Type == http2.FrameRSTStream })
			if err != nil {
				t.Error(err)
			}
			reset <- time.Now()
			f, err := v.frames(func(f http2.Frame) bool { return f.Header().Type == http2.FrameHeaders })
			if err != nil {
				t.Error(err)
			}
			lives <- f
			_, _ = io.Copy(io.Discard, v.conn)
		}()
		v.send(v.ask(1, host))
		r := p.next()
		go p.keep()
		content := string(bytes.Repeat([]byte("a"), 1<<20))
		begun := time.Now()
		p.respond(schema.Response{ID: r.ID, Status: 200, Body: &content})
		if took := (<-reset).Sub(begun); took < writeGrace || took > 2*(writeGrace+64<<10/writeRate*time.Second) {
			t.Errorf("its stream lived for %s", took)
		}
		if v.send(v.ask(3, "nobody.localhost")); (<-lives).Header().StreamID != 3 {
			t.Error("another stream got no answer")
		}
	})
}

func TestAConnectionOfHTTP2EndsWithTheGateway(t *testing.T) {
	inBothWorlds(t, Options{}, func(w *world) {
		client, _ := w.http2()
		p := w.claim("demo")
		visitors := *w
		visitors.client = client
		v := visitors.visitor("GET", "/", nil)
		r := p.next()
		settled := func() bool {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			w.gateway.Settle(ctx)
			return ctx.Err() == nil
		}
		if settled() {
			t.Error("an exchange runs, and the gateway does not wait for it")
		}
		stopped := make(chan struct{})
		go func() {
			defer close(stopped)
			w.gateway.Drain(context.Background())
		}()
		synctest.Wait()
		if got := visitors.send("GET", "/readyz", "", nil); got.Status != 503 || got.code() != schema.CodeDraining {
			t.Errorf("while it stops = %d", got.Status)
		}
		p.respond(schema.Response{ID: r.ID, Status: 200, Body: new("whole")})
		if got := v.wait(t); got.Status != 200 || string(got.Content) != "whole" {
			t.Errorf("what ran got %d %q", got.Status, got.Content)
		}
		<-stopped
		synctest.Wait()
		if !settled() {
			t.Error("no visitor waits, but the gateway has not settled")
		}
		w.client.CloseIdleConnections()
		_ = w.network.Close()
		begun := time.Now()
		if err := w.server.Shutdown(context.Background()); err != nil || time.Since(begun) > 5*time.Second {
			t.Errorf("shut down after %s: %v", time.Since(begun), err)
		}
	})
}
