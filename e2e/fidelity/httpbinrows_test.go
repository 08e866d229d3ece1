package fidelity

import (
	"fmt"
	"strings"
)

// httpbinExcepted are the routes without a row, with the reason.
var httpbinExcepted = map[string]string{
	"GET /websocket/echo": "it is a conversation: see websocket_test.go",
}

// statusExcepted are the codes of /status/{code} without a row, with the reason.
var statusExcepted = map[int]string{
	101: "the gateway does not relay a 101 to a request without Upgrade",
}

// Masks for values that differ between two answers of the same server.
const (
	anyTime   = `[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} [\d:]{8} [A-Z]{3}`
	anyStamp  = `"timestamp":\d+|total_duration;dur=[\d.]+`
	anyUUID   = `[\da-f]{8}-[\da-f]{4}-4[\da-f]{3}-[\da-f]{4}-[\da-f]{12}`
	anyHash   = `[\da-f]{40}`
	anyNonce  = `(nonce|opaque)=[\da-f]+`
	multipart = "Content-Type: multipart/form-data; boundary=b"
)

// httpbinRows returns requests for everything that the endpoints of go-httpbin do.
func httpbinRows() (rows []row) {
	for _, request := range []string{
		"GET /", "HEAD /", "OPTIONS /\nOrigin: http://a.test\nAccess-Control-Request-Headers: x", "GET /none", "POST /get", "GET /encoding/utf8", "GET /forms/post",
		"GET /get", "GET /get?a=1&a=2&b=%20%3B", "GET /get\nX-Twice: 1\nX-Twice: 2\nX-Bytes: caf\xc3\xa9 \xff\nAccept-Encoding: gzip", "HEAD /get", "HEAD /head", "GET /head",
		"DELETE /delete", "DELETE /delete\n\ncontent", "PATCH /patch\nContent-Type: text/plain\n\npatch", "PUT /put\n\n\x00\xff\xfe\r\n", "POST /post\n\n",
		"POST /post\nContent-Type: application/json\n\n{\"a\":[1,\"é\"]}", "POST /post\nContent-Type: application/json\n\n{", "POST /post\nContent-Type: text/plain\n\né\u2028",
		"POST /post?a=1\nContent-Type: application/x-www-form-urlencoded\n\na=2&b=%C3%A9+x", "POST /post\n" + multipart + "\n\n" + form,
		"GET /anything/a/b?c=d", "GET /anything\n\ncontent", "HEAD /anything", "PROPFIND /anything/x", "PUT /anything\n\n" + long, "GET /anything/a//b", "GET /anything/../get", "GET /anything/%2e%2e/x",
		"POST /upload\n\n" + long, "PUT /upload\n\n1", "PATCH /upload\n\n", "POST /upload\n\n" + strings.Repeat("x", 1<<20), "POST /upload\n\n" + strings.Repeat("x", 1<<20+1), "GET /upload",
		"GET /base64/aGVsbG8=", "GET /base64/decode/aGVsbG8=?content-type=text/html", "GET /base64/encode/h%C3%A9", "GET /base64/decode/!", "GET /base64/none/x",
		"GET /basic-auth/user/pass", "GET /basic-auth/user/pass\nAuthorization: Basic dXNlcjpwYXNz", "GET /hidden-basic-auth/user/pass", "GET /hidden-basic-auth/user/pass\nAuthorization: Basic dXNlcjpwYXNz",
		"GET /bearer", "GET /bearer\nAuthorization: Bearer x", "GET /digest-auth/none/user/pass",
		"GET /digest-auth/auth/user/pass\n" + digest("/digest-auth/auth/user/pass", "MD5", "a720fb593a2cd16414ada1529e81592f"),
		"GET /digest-auth/auth/user/pass/SHA-256\n" + digest("/digest-auth/auth/user/pass/SHA-256", "SHA-256", "aff5178a6a113f9b72f32b5dbaf07092dd1f6caf600afc52cfe6e6d75bcda028"),
		"GET /bytes/0?seed=1", "GET /bytes/1?seed=1", "GET /bytes/65537?seed=1", "GET /bytes/1048576?seed=1", "GET /bytes/1048577?seed=1", "HEAD /bytes/10?seed=1", "GET /bytes/x",
		"GET /stream-bytes/100000?seed=1&chunk_size=1000", "GET /stream-bytes/1048576?seed=2", "GET /stream-bytes/10?seed=1&chunk_size=x", "HEAD /stream-bytes/100?seed=1",
		"GET /stream/1", "GET /stream/100", "GET /stream/x", "HEAD /stream/2", "GET /bytes/10?seed=1\nConnection: close",
		"GET /cache\nIf-None-Match: x", "GET /cache\nIf-Modified-Since: Thu, 02 Jan 2020 03:04:05 GMT", "GET /cache/60", "GET /cache/x",
		"GET /cookies", "GET /cookies\nCookie: a=b; c=\"d\"", "GET /cookies/set?a=b", "GET /cookies/set?a=b&attr[Domain]=fidelity.localhost&attr[SameSite]=lax&attr[Secure]=1",
		"GET /gzip", "GET /gzip\nAccept-Encoding: gzip", "GET /deflate", "GET /deflate\nAccept-Encoding: deflate", "HEAD /gzip", "HEAD /deflate", "GET /brotli",
		"GET /delay/0.01", "POST /delay/10ms\n\ncontent", "GET /delay/11", "GET /deny", "GET /env", "GET /headers\nA: \nB: x  y", "GET /hostname", "GET /html", "GET /robots.txt", "GET /xml", "GET /json", "HEAD /json",
		"GET /drip?delay=0&duration=20ms&numbytes=5", "GET /drip?delay=0&duration=0&numbytes=100000", "GET /drip?delay=0&duration=5ms&numbytes=3&code=500", "GET /drip?delay=0&duration=5ms&numbytes=3&code=204", "GET /drip?delay=0&numbytes=0", "HEAD /drip?delay=0&duration=5ms&numbytes=3",
		"GET /dump/request?a=b\nB: 2\nA: 1", "POST /dump/request\n\ncontent", "GET /ip", "GET /ip?format=text", "GET /user-agent\nUser-Agent: é", "GET /user-agent", "GET /version",
		"GET /image", "GET /image\nAccept: image/webp", "GET /image\nAccept: text/html", "GET /image/png", "GET /image/jpeg", "GET /image/svg", "GET /image/webp", "GET /image/avif", "GET /image/none", "HEAD /image/png",
		"GET /jsonl?count=3&duration=20ms", "GET /jsonl?count=x", "HEAD /jsonl?count=2&duration=5ms", "GET /links/3", "GET /links/3/1", "GET /links/999/1",
		"GET /range/100", "GET /range/100\nRange: bytes=10-19", "GET /range/100\nRange: bytes=-5", "GET /range/100\nRange: bytes=90-", "GET /range/100\nRange: bytes=0-1,50-59,-3", "GET /range/100\nRange: bytes=100-",
		"GET /range/100\nRange: lines=1-2", "GET /range/1048576\nRange: bytes=1-1000000", "GET /range/100\nRange: bytes=1-2\nIf-Range: range100", "GET /range/100\nIf-None-Match: range100", "HEAD /range/100", "HEAD /range/100\nRange: bytes=10-19", "GET /range/0",
		"GET /redirect/3", "GET /redirect/3?absolute=true", "GET /relative-redirect/2", "GET /absolute-redirect/2", "GET /redirect/0", "HEAD /redirect/1", "POST /redirect/1\n\nx",
		"GET /redirect-to?url=http://a.test/%C3%A9&status_code=307", "GET /redirect-to?url=/get", "GET /redirect-to", "GET /redirect-to?url=x&status_code=200",
		"GET /response-headers?X-A=1&X-A=2&X-Empty=", "GET /response-headers?Content-Type=text/html&a=%3Cb%3E", "GET /response-headers?Content-Encoding=br", "GET /response-headers?Proxy-Status=other",
		"GET /trailers?X-A=1&X-B=2", "GET /trailers", "GET /trailers?Host=x", "POST /trailers?X-A=1\n\ncontent",
		"GET /unstable?seed=1", "GET /unstable?seed=2", "GET /unstable?failure_rate=0", "GET /unstable?failure_rate=1",
		"GET /status/200:1", "GET /status/600", "GET /status/x", "HEAD /status/200", "HEAD /status/404", "POST /status/200\n\ncontent",
	} {
		rows = append(rows, row{request: request})
	}
	for code := 100; code <= 599; code++ {
		if statusExcepted[code] != "" || code > 103 && code < 200 {
			continue
		}
		r := row{request: fmt.Sprint("GET /status/", code)}
		if code == 407 {
			r.differs = []string{"Proxy-Authenticate"} // schema/README.md, 5: it concerns one connection only
		}
		if code == 304 {
			r.differs = []string{"Content-Type"} // net/http drops it, which RFC 9110, 15.4.5, does not demand
		}
		rows = append(rows, r)
	}
	return append(rows,
		row{request: "POST /post\nContent-Type: text/plain\n\nin two pieces", chunked: true},
		row{request: "POST /upload\n\n" + long, chunked: true},
		row{request: "POST /upload\n\n" + strings.Repeat("x", 1<<20+1), chunked: true},
		row{request: "PUT /anything\nTrailer: X-Sum\n\n" + long, chunked: true, trailers: "X-Sum: 1"},
		row{request: "POST /dump/request\n\nin two pieces", chunked: true},
		row{request: "GET /cache", mask: anyTime + "|" + anyHash},
		row{request: "GET /etag/x", mask: anyTime},
		row{request: "GET /etag/x\nIf-None-Match: \"x\"", mask: anyTime},
		row{request: "GET /etag/x\nIf-Match: \"y\"", mask: anyTime},
		row{request: "GET /etag/x\nRange: bytes=1-5\nIf-Range: \"x\"", mask: anyTime},
		row{request: "GET /cookies/delete?a=", mask: anyTime},
		row{request: "GET /digest-auth/auth/user/pass", mask: anyNonce},
		row{request: "GET /digest-auth/auth/user/pass/SHA-256", mask: anyNonce},
		row{request: "GET /uuid", mask: anyUUID},
		row{request: "GET /sse?count=3&duration=20ms", mask: anyStamp},
		// schema/README.md, 5: the gateway sets Trailer itself, and a response to HEAD has no trailers.
		row{request: "HEAD /sse?count=2&duration=5ms", differs: []string{"Trailer"}},
		row{request: "HEAD /trailers?X-A=1", differs: []string{"Trailer"}},
		row{request: "GET /status/200,404", mask: "404 Not Found|200 OK"}, // one of them at random
	)
}

// long is content that is too long for the envelope.
var long = strings.Repeat("0123456789abcde\n", 65_536/16) + "!"

const form = "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\né\r\n" +
	"--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"x.bin\"\r\n\r\n\x00\xff\r\n--b--\r\n"

// digest returns the field that authenticates user with pass; response is their hash by RFC 7616, 3.4.1.
func digest(target, algorithm, response string) string {
	return fmt.Sprintf(`Authorization: Digest username="user", realm="go-httpbin", nonce="abc", uri="%s", qop=auth, nc=00000001, cnonce="def", algorithm=%s, response="%s"`,
		target, algorithm, response)
}
