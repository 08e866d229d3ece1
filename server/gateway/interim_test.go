package gateway

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"reversehttp/schema"
)

// serveReal serves a gateway on a real port until the test ends.
func serveReal(t *testing.T) (p *program, at string) {
	t.Helper()
	g, address := onTCP(t, Options{Loopback: true})
	return realProgram(t, g, func() net.Conn { return dialTCP(t, address) }), address
}

// hints returns interim responses with size fields.
func hints(id string, size int) any {
	var fields []schema.Field
	for i := range size {
		fields = append(fields, schema.Field{fmt.Sprintf("X-Field-%d", i), strings.Repeat("v", 200)})
	}
	var messages []schema.Interim
	for range 16 {
		messages = append(messages, schema.Interim{Type: schema.TypeInterim, ID: id, Status: 103, Headers: fields})
	}
	return map[string]any{"messages": messages}
}

// net/http reads the fields of an interim response on its own goroutine, even if the stream was reset
// meanwhile. The next fields must not be set at the same time, since the process would end.
func TestAnInterimResponseToAStreamThatIsReset(t *testing.T) {
	p, at := serveReal(t)
	const streams = 40
	conn, err := net.Dial("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(conn, http2.ClientPreface)
	frames := http2.NewFramer(conn, conn)
	_ = frames.WriteSettings()
	var block bytes.Buffer
	fields := hpack.NewEncoder(&block)
	for i := range streams {
		block.Reset()
		for _, f := range [][2]string{{":method", "GET"}, {":scheme", "http"}, {":path", "/"}, {":authority", "demo.localhost:8080"}} {
			_ = fields.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]})
		}
		if err := frames.WriteHeaders(http2.HeadersFrameParam{StreamID: uint32(2*i + 1), BlockFragment: block.Bytes(), EndStream: true, EndHeaders: true}); err != nil {
			t.Fatal(err)
		}
	}
	var reset sync.WaitGroup
	reset.Go(func() {
		for {
			frame, err := frames.ReadFrame()
			if err != nil {
				return
			}
			if h, ok := frame.(*http2.HeadersFrame); ok {
				_ = frames.WriteRSTStream(h.StreamID, http2.ErrCodeCancel)
			}
		}
	})
	var posts sync.WaitGroup
	for got := 0; got < streams; {
		for _, r := range p.poll() {
			got++
			posts.Go(func() {
				_ = newReply(p.client.Do(p.request("POST", p.Responses, p.Token, hints(r.ID, 200))))
			})
		}
	}
	posts.Wait()
	_ = conn.Close()
	reset.Wait()
}

// net/http sends 100 (Continue) on the goroutine that reads the content.
func TestAnInterimResponseIsNotWrittenDuringA100(t *testing.T) {
	p, at := serveReal(t)
	for i := range 60 {
		conn, err := net.Dial("tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(conn, requestTo("POST", "demo.localhost:8080", "/", "Content-Length: 100000", "Expect: 100-continue"))
		r := p.next()
		var both sync.WaitGroup
		both.Go(func() { _ = newReply(p.client.Do(p.request("POST", p.Responses, p.Token, hints(r.ID, 2)))) })
		both.Go(func() {
			time.Sleep(time.Duration(i) * 100 * time.Microsecond)
			resp, err := p.client.Do(p.request("GET", r.BodyURL, p.Token, nil))
			if err == nil {
				_ = resp.Body.Close()
			}
		})
		both.Wait()
		p.respond(schema.Response{ID: r.ID, Status: http.StatusNoContent})
		in := bufio.NewReader(conn)
		for status := 0; status != http.StatusNoContent; {
			got, err := http.ReadResponse(in, nil)
			if err != nil {
				t.Fatalf("after %d: %v, want whole heads until 204", status, err)
			}
			status = got.StatusCode
		}
		_ = conn.Close()
	}
}

func TestAnInterimResponsePrecedesTheAnswer(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		p := w.claim("demo")
		for _, version := range []string{"1.1", "1.0"} {
			v := p.dial(visitorAddr)
			v.write([]byte("GET / HTTP/" + version + "\r\nHost: " + host + "\r\n\r\n"))
			r := p.next()
			hint := schema.Interim{Type: schema.TypeInterim, ID: r.ID, Status: 103, Headers: []schema.Field{{"Link", "</a>"}, {"Link", "</b>"}, {"Connection", "close"}}}
			if got := p.answer(hint); got.Status != schema.ResultAccepted {
				t.Errorf("interim = %s, want accepted", got.Status)
			}
			if version == "1.1" {
				first, err := http.ReadResponse(v.in, &http.Request{Method: "GET"})
				if err != nil || first.StatusCode != 103 || !slices.Equal(first.Header["Link"], []string{"</a>", "</b>"}) || first.Header["Via"] != nil {
					t.Errorf("first = %v %v, want 103 with two links", first, err)
				}
			}
			p.respond(schema.Response{ID: r.ID, Status: 200, Headers: []schema.Field{{"X-A", "b"}}, Body: new("x")})
			resp, err := http.ReadResponse(v.in, &http.Request{Method: "GET"})
			if err != nil || resp.StatusCode != 200 || resp.Header["Link"] != nil || resp.Header.Get("X-A") != "b" {
				t.Errorf("answer to HTTP/%s = %v %v, want 200 without links", version, resp, err)
			}
			if got := p.answer(hint); got.Status != schema.ResultConflict {
				t.Errorf("interim after the answer = %s, want conflict", got.Status)
			}
			_ = v.conn.Close()
		}
	})
}

func TestInterimResponsesHaveABound(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		p := w.claim("demo")
		v := w.visit(get(host, "/"))
		r := p.next()
		for i := range 17 {
			want := schema.ResultAccepted
			if i == 16 {
				want = schema.ResultConflict
			}
			if got := p.answer(schema.Interim{Type: schema.TypeInterim, ID: r.ID, Status: 102}); got.Status != want {
				t.Errorf("interim %d = %s, want %s", i+1, got.Status, want)
			}
		}
		p.respond(schema.Response{ID: r.ID, Status: 204})
		if got := v.await(); got.Status != 204 {
			t.Errorf("answer = %d, want 204", got.Status)
		}
	})
}
