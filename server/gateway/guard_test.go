package gateway

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"reversehttp/schema"
)

// ambiguous are requests that different servers read differently. The bytes after them must never count as a
// request.
var ambiguous = map[string]string{
	"LF alone after the request line": "GET /x HTTP/1.1\nHost: " + host + "\r\n\r\n",
	"LF alone after a field":          "GET /x HTTP/1.1\r\nHost: " + host + "\r\nX: a\nY: b\r\n\r\n",
	"LF alone at the end":             "GET /x HTTP/1.1\r\nHost: " + host + "\r\n\n",
	"LF alone everywhere":             "GET /x HTTP/1.1\nHost: " + host + "\n\n",
	"LF alone in HTTP/1.0":            "GET /x HTTP/1.0\nHost: " + host + "\n\n",
	"CR alone in a value":             "GET /x HTTP/1.1\r\nHost: " + host + "\r\nX: a\rb\r\n\r\n",
	"CR alone at the end of a value":  "GET /x HTTP/1.1\r\nHost: " + host + "\r\nX: a\r\r\n\r\n",
	"CR alone as an end":              "GET /x HTTP/1.1\r\nHost: " + host + "\r\nX: a\rContent-Length: 40\r\n\r\n",
	"CR alone before a field":         "GET /x HTTP/1.1\r\nHost: " + host + "\r\n\rX: a\r\n\r\n",
	"CR alone in HTTP/1.0":            "GET /x HTTP/1.0\r\nHost: " + host + "\r\nX: a\r\r\n\r\n",
	"NUL in a value":                  "GET /x HTTP/1.1\r\nHost: " + host + "\r\nX: a\x00b\r\n\r\n",
	"NUL in a name":                   "GET /x HTTP/1.1\r\nHost: " + host + "\r\nX\x00Y: a\r\n\r\n",
	"NUL in the request line":         "GET /x\x00 HTTP/1.1\r\nHost: " + host + "\r\n\r\n",
	"folded":                          "GET /x HTTP/1.1\r\nHost: " + host + "\r\nX: a\r\n b\r\n\r\n",
	"folded by a tab":                 "GET /x HTTP/1.1\r\nHost: " + host + "\r\nX: a\r\n\tContent-Length: 40\r\n\r\n",
	"folded length":                   "POST /x HTTP/1.1\r\nHost: " + host + "\r\nContent-Length:\r\n 5\r\n\r\nhello",
	"folded in HTTP/1.0":              "GET /x HTTP/1.0\r\nHost: " + host + "\r\nX: a\r\n b\r\n\r\n",
}

// ambiguousContent is chunked content that different servers read differently.
var ambiguousContent = map[string]string{
	"LF alone after a size":         "5\nhello\r\n0\r\n\r\n",
	"LF alone after an extension":   "5;a=b\nhello\r\n0\r\n\r\n",
	"LF alone after a chunk":        "5\r\nhello\n0\r\n\r\n",
	"LF alone after the last size":  "5\r\nhello\r\n0\n\r\n",
	"LF alone after no trailers":    "5\r\nhello\r\n0\r\n\n",
	"LF alone after a trailer":      "5\r\nhello\r\n0\r\nX: a\n\r\n",
	"CR alone in an extension":      "5;a\rb\r\nhello\r\n0\r\n\r\n",
	"CR alone after a size":         "5\r\r\nhello\r\n0\r\n\r\n",
	"CR alone in a trailer":         "5\r\nhello\r\n0\r\nX: a\r\r\n\r\n",
	"NUL in an extension":           "5;a\x00\r\nhello\r\n0\r\n\r\n",
	"NUL in a trailer":              "5\r\nhello\r\n0\r\nX: \x00\r\n\r\n",
	"folded trailer":                "5\r\nhello\r\n0\r\nX: a\r\n b\r\n\r\n",
	"a trailer that is no field":    "5\r\nhello\r\n0\r\nX\r\n\r\n",
	"a chunk longer than its size":  "5\r\nhello!\r\n0\r\n\r\n",
	"a size beyond 64 bits":         "10000000000000005\r\nhello\r\n0\r\n\r\n",
	"a size with a sign":            "+5\r\nhello\r\n0\r\n\r\n",
	"a size with a prefix":          "0x5\r\nhello\r\n0\r\n\r\n",
	"an empty size":                 "\r\nhello\r\n0\r\n\r\n",
	"an empty size with extensions": ";a\r\nhello\r\n0\r\n\r\n",
}

func TestAmbiguousRequestsAreRefused(t *testing.T) {
	for name, head := range ambiguous {
		for _, before := range []string{"", "GET /first HTTP/1.1\r\nHost: " + host + "\r\n\r\n"} {
			for _, size := range []int{1, 1 << 10} {
				t.Run(fmt.Sprintf("%s, after %d bytes, pieces of %d", name, len(before), size), func(t *testing.T) {
					inBothWorlds(t, Options{}, func(w *world) {
						w.claim("demo").echo()
						v := w.dial(visitorAddr)
						v.inPieces(before+head+smuggled, size)
						if before != "" {
							v.next()
						}
						v.next()
						if got := v.all[len(v.all)-1]; got.Err != nil || got.Status != 400 || got.code() != schema.CodeBadRequest || got.handed() != "?0" {
							t.Errorf("answer = %d %s %v, want 400 bad_request ?0", got.Status, got.Content, got.Err)
						}
						v.closed()
					})
				})
			}
		}
	}
}

func TestAmbiguousContentIsRefused(t *testing.T) {
	for name, content := range ambiguousContent {
		for target, to := range map[string]string{"/x": host, "/claims": "localhost:8080"} {
			for _, size := range []int{1, 1 << 10} {
				t.Run(fmt.Sprintf("%s, to %s, pieces of %d", name, target, size), func(t *testing.T) {
					inBothWorlds(t, Options{}, func(w *world) {
						w.claim("demo").echo()
						v := w.dial(visitorAddr)
						v.inPieces(requestTo("POST", to, target, "Content-Type: application/json", "Transfer-Encoding: chunked")+content+smuggled, size)
						v.next()
						if got := v.all[0]; got.Err != nil || got.Status != 400 {
							t.Errorf("answer = %d %s %v, want 400", got.Status, got.Content, got.Err)
						}
						v.closed()
					})
				})
			}
		}
	}
}

// Valid requests pass, pipelined or not, and however a message is divided.
func TestUnambiguousRequestsPass(t *testing.T) {
	requests := []string{
		"GET /1 HTTP/1.1\r\nHost: " + host + "\r\nX:\r\nY: \t \r\n\r\n",
		"POST /2 HTTP/1.1\r\nHost: " + host + "\r\nTransfer-Encoding: Chunked\r\n\r\n5;a=b;c=\"d\"\r\n\n\r\x00\n\r\r\n000a\r\n0123456789\r\n0;x\r\nX: a\r\nY:\r\n\r\n",
		"POST /3 HTTP/1.1\r\nHost: " + host + "\r\nContent-Length: 007\r\nContent-Length: 007\r\n\r\n\r\n\n \x00\n\n",
		"POST /4 HTTP/1.1\r\nHost: " + host + "\r\ncontent-length: 0\r\nUpgrade: h2c\r\n\r\n",
		"GET /5 HTTP/1.1\r\nHost: " + host + "\r\nUpgrade: something\r\n\r\n",
		"POST /6 HTTP/1.1\r\nHost: " + host + "\r\nTransfer-Encoding: chunked\r\nUpgrade: x\r\n\r\n0\r\n\r\n",
		"GET /7 HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n\r\n",
	}
	for _, size := range []int{1, 3, 100, 1 << 12} {
		inBothWorlds(t, Options{}, func(w *world) {
			w.claim("demo").echo()
			v := w.dial(visitorAddr)
			v.inPieces(strings.Join(requests, ""), size)
			for i := range requests {
				method, _, _ := strings.Cut(requests[i], " ")
				v.next()
				if got, want := v.all[i], fmt.Sprintf("%s /%d", method, i+1); got.Err != nil || got.Status != 200 || string(got.Content) != want {
					w.t.Fatalf("in pieces of %d: answer %d = %d %q %v, want %q", size, i+1, got.Status, got.Content, got.Err, want)
				}
			}
		})
	}
}

func TestExcessCookiesAreForgotten(t *testing.T) {
	cookies := func(n, bytes int) (fields []string) {
		for range n {
			fields = append(fields, "Cookie: a="+strings.Repeat("x", bytes))
		}
		return fields
	}
	for _, c := range []struct {
		why    string
		shape  string
		to     string
		target string
		fields []string
		clears bool
	}{
		{"beyond the bound", "", host, "/", cookies(20, 4000), true},
		{"beyond what net/http reads", "", host, "/", cookies(100, 4000), true},
		{"for the gateway", "", "localhost:8080", "/", cookies(20, 4000), true},
		{"too many fields", "", host, "/", cookies(300, 1), true},
		{"other fields", "", host, "/", []string{"X: " + strings.Repeat("x", 70_000), "Cookie: a=1"}, false},
		{"other fields beyond what net/http reads", "", host, "/", []string{"X: " + strings.Repeat("x", 200_000), "Cookie: a=1"}, false},
		{"a target", "", host, "/" + strings.Repeat("x", 160_000), cookies(5, 4000), false},
		{"path shape", pathShape, "localhost:8080", "/at/demo/", cookies(20, 4000), false},
		{"path shape, beyond what net/http reads", pathShape, "localhost:8080", "/at/demo/", cookies(100, 4000), false},
	} {
		t.Run(c.why, func(t *testing.T) {
			inWorld(t, Options{PublicURL: c.shape}, func(w *world) {
				w.claim("demo")
				v := w.dial(visitorAddr)
				v.inPieces(get(c.to, c.target, c.fields...), 1<<16)
				v.next()
				got := v.all[0]
				if got.Err != nil || got.Status != 431 || (got.Header.Get("Clear-Site-Data") == `"cookies"`) != c.clears {
					t.Errorf("answer = %d %v %v, want 431, with Clear-Site-Data: %v", got.Status, got.Header, got.Err, c.clears)
				}
				_ = v.conn.Close()
				synctest.Wait()
			})
		})
	}
}
