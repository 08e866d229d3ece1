package gateway

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"reversehttp/schema"
)

// smuggled must never count as a request.
const smuggled = "GET /smuggled HTTP/1.1\r\nHost: " + host + "\r\n\r\n"

// misframedHeads are heads of requests that end at two places, depending on the field. fields has all but
// their first line; a test joins them.
var misframedHeads = map[string]struct {
	line   string
	fields []string
}{
	"HTTP/1.0":                {"POST /x HTTP/1.0", []string{"Connection: keep-alive", "Transfer-Encoding: chunked"}},
	"HTTP/1.0, with a length": {"POST /x HTTP/1.0", []string{"Connection: keep-alive", "Content-Length: 0", "Transfer-Encoding: chunked"}},
	"HTTP/1.0, another":       {"GET /x HTTP/1.0", []string{"Connection: keep-alive", "Transfer-Encoding: identity"}},
	"both":                    {"POST /x HTTP/1.1", []string{"Content-Length: 5", "Transfer-Encoding: chunked"}},
	"both, other order":       {"POST /x HTTP/1.1", []string{"Transfer-Encoding: chunked", "Content-Length: 0"}},
	"names in any case":       {"POST /x HTTP/1.1", []string{"tRANSFER-eNCODING: chunked", "cONTENT-lENGTH:5"}},
	"folded":                  {"POST /x HTTP/1.1", []string{"Content-Length:\r\n 5", "X: a\r\n\tb: c", "Transfer-Encoding:\r\n chunked"}},
	"malformed target":        {"POST /%zz HTTP/1.1", []string{"Content-Length: 5", "Transfer-Encoding: chunked"}},
}

func TestARequestWithTwoPossibleEndsIsRefused(t *testing.T) {
	for name, c := range misframedHeads {
		for _, newline := range []string{"\r\n", "\n"} {
			head := strings.ReplaceAll(strings.Join(append([]string{c.line, "Host: " + host}, c.fields...), "\r\n")+"\r\n\r\n", "\r\n", newline)
			for _, size := range []int{1, 7, len(head), len(head) + 9} {
				t.Run(fmt.Sprintf("%s, %q, pieces of %d", name, newline, size), func(t *testing.T) {
					inBothWorlds(t, Options{}, func(w *world) {
						p := w.claim("demo")
						v := w.dial(visitorAddr)
						v.inPieces(head+"0\r\n\r\n"+smuggled, size)
						v.next()
						if got := v.all[0]; got.Status != 400 || got.code() != schema.CodeBadRequest || got.handed() != "?0" {
							t.Errorf("answer = %d %s, want 400 bad_request ?0", got.Status, got.Content)
						}
						v.closed()
						if rs := p.poll(schema.Field{"Prefer", "wait=0"}); rs != nil {
							t.Errorf("the handler got %v", rs)
						}
					})
				})
			}
		}
	}
}

// closed checks that the connection ends, and not only because no request follows.
func (v *visitor) closed() {
	v.world.t.Helper()
	start := time.Now()
	if rest, took := v.rest(), time.Since(start); len(rest) > 0 || took > lingerTime+time.Second {
		v.world.t.Errorf("after the answer came %q, and the end after %s", rest, took)
	}
}

// inPieces writes raw in pieces, on its own goroutine.
func (v *visitor) inPieces(raw string, size int) {
	go func() {
		for len(raw) > 0 {
			n := min(size, len(raw))
			if _, err := v.conn.Write([]byte(raw[:n])); err != nil {
				return
			}
			raw = raw[n:]
		}
	}()
}

// The control API reads requests with content too.
func TestARequestForTheControlAPIThatEndsInTwoPlacesIsRefused(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		got := w.ask("POST /claims HTTP/1.0\r\nHost: localhost:8080\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
		if got.Status != 400 || got.code() != schema.CodeBadRequest {
			t.Errorf("answer = %d %s, want 400 bad_request", got.Status, got.Content)
		}
	})
}

// The result is the same whether or not it arrived together with the request before it.
func TestAPipelinedRequestThatEndsInTwoPlacesEndsTheConnection(t *testing.T) {
	for name, c := range misframedHeads {
		head := strings.Join(append([]string{strings.Replace(c.line, "%zz", "x", 1), "Host: " + host}, c.fields...), "\r\n") + "\r\n\r\n"
		for _, cut := range []int{4, len(c.line) / 2, len(c.line), len(head) - 30, len(head) - 2, len(head)} {
			t.Run(fmt.Sprintf("%s, cut at %d", name, cut), func(t *testing.T) {
				inWorld(t, Options{}, func(w *world) {
					p := w.claim("demo")
					p.echo()
					v := w.dial(visitorAddr)
					v.write([]byte("GET /first HTTP/1.1\r\nHost: " + host + "\r\n\r\n" + head[:cut]))
					v.next()
					synctest.Wait()
					v.write([]byte(head[cut:] + "0\r\n\r\n" + smuggled))
					v.next()
					if got := v.all[1]; got.Err != nil || got.Status != 400 || got.code() != schema.CodeBadRequest {
						t.Errorf("answer = %d %s %v, want 400 bad_request", got.Status, got.Content, got.Err)
					}
					v.closed()
				})
			})
		}
	}
}

// If a request ends in one place the connection stays open, even after content.
func TestARequestThatEndsInOnePlaceKeepsTheConnection(t *testing.T) {
	inBothWorlds(t, Options{}, func(w *world) {
		p := w.claim("demo")
		p.echo()
		v := w.dial(visitorAddr)
		for i, raw := range []string{
			"POST /%1 HTTP/1.1\r\nHost: " + host + "\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
			"POST /%2 HTTP/1.1\r\nHost: " + host + "\r\nContent-Length: 28\r\n\r\nTransfer-Encoding: chunked\r\n",
			"POST /%3 HTTP/1.0\r\nHost: " + host + "\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nhi",
			"GET /%4 HTTP/1.1\r\nHost: " + host + "\r\nX: Transfer-Encoding: chunked\r\nX-Transfer-Encoding: 1\r\nTransfer-Encoding-X: 1\r\n\r\n",
			"POST /%5 HTTP/1.1\r\nHost: " + host + "\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
			"GET /%6 HTTP/1.1\r\nHost: " + host + "\r\n\r\n",
		} {
			v.write([]byte(raw))
			v.next()
			method, _, _ := strings.Cut(raw, " ")
			want := fmt.Sprintf("%s /%%%d", method, i+1)
			if got := v.all[i]; got.Err != nil || got.Status != 200 || string(got.Content) != want {
				t.Fatalf("answer %d = %d %q %v, want 200 %q on a connection that stays open", i, got.Status, got.Content, got.Err, want)
			}
		}
	})
}
