package family

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"reversehttp/server/gateway"
)

// Whatever a program posts as a reply, it and its visitor are answered once, and agree on what happened.
func FuzzReply(f *testing.F) {
	for _, reply := range []string{
		okay, "HTTP/1.1 200 OK\n\nrest", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX: y\r\n\r\n",
		"HTTP/1.1 103 E\r\nLink: a\r\n\r\n" + okay, "HTTP/1.1 304 N\r\nContent-Length: 9\r\n\r\n", "", "\n", "HTTP/1.1 200", okay + okay,
		"HTTP/1.0 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcde", "HTTP/1.1 200 OK\r\nX: a\x00\r\n\r\n", "HTTP/1.1 204 N\r\n\r\nx",
	} {
		f.Add([]byte(reply), false)
		f.Add([]byte(reply), true)
	}
	f.Fuzz(func(t *testing.T, reply []byte, head bool) {
		method := "GET"
		if head {
			method = "HEAD"
		}
		inBubble(t, gateway.Options{}, func(b *bubble) {
			at := b.register("name=demo&token=t0")
			v := b.visit("demo", method, "/")
			b.ask(get(at)).is(t, 200, "*")
			program := b.ask(post(at, "message/http", string(reply)))
			visitor := v.wait()
			for visitor.err == nil && visitor.StatusCode < 200 {
				visitor = v.l.hear(method)
			}
			switch {
			case program.StatusCode == 202 && visitor.err == nil && visitor.Header.Get("Proxy-Status") == "":
			case program.StatusCode == 400 && program.code() == "bad_answer" && (visitor.err != nil || visitor.StatusCode == 502):
			case program.StatusCode == 400 && strings.Contains(program.body, "More follows"): // the first was good
			default:
				t.Errorf("program got %d %s, visitor %d %q %v", program.StatusCode, program.body, visitor.StatusCode, visitor.body, visitor.err)
			}
		})
	})
}

// Whatever a program posts as a response to an event, it and its visitor are answered.
func FuzzEventResponse(f *testing.F) {
	for _, rest := range []string{
		`"status":200`, `"status":"200 OK","headers":[["A","b"]],"body":"x"`, `"status":200,"headers":{"a":["b",5]},"body-base64":"eA=="`,
		`"headers":[[[[`, `"status":1e400`, `"message-id":1`, `"body":"` + "\xff" + `"`, `"status":200,"body":"\ud800"`, `"status":200,"headers":{"Content-Length":"5"}`,
	} {
		f.Add([]byte(rest))
	}
	f.Fuzz(func(t *testing.T, rest []byte) {
		inBubble(t, gateway.Options{}, func(b *bubble) {
			poll := b.begin(queued(""))
			v := b.visit("demo", "GET", "/")
			id := eventIn(t, poll.wait()).ID
			program := b.begin(queued(`{"message-id":"` + id + `",` + string(rest) + "}")).wait()
			switch {
			case program.StatusCode == 200 && program.body == "{}":
				if got := v.wait(); got.err != nil || got.Header.Get("Proxy-Status") != "" {
					t.Errorf("visitor got %d %q %v, want the response", got.StatusCode, got.body, got.err)
				}
			case program.code() == "bad_answer" && program.StatusCode == 400:
				if got := v.wait(); got.StatusCode != 502 {
					t.Errorf("visitor got %d %q %v, want 502", got.StatusCode, got.body, got.err)
				}
			case program.code() == "bad_json" && program.StatusCode == 400:
				v.pending()
				v.l.Close()
			default:
				t.Errorf("program got %d %s", program.StatusCode, program.body)
			}
		})
	})
}

// Any form claims a name or is refused for its fault.
func FuzzForm(f *testing.F) {
	for _, form := range []string{"name=demo&token=t0&lease=5", "name=%zz", "name=a&lease=1e9", "name=A&&=;", "lease=9999999999999999999999&name=b", "token=-&name=a", "name=www"} {
		f.Add(form)
	}
	f.Fuzz(func(t *testing.T, form string) {
		inBubble(t, gateway.Options{}, func(b *bubble) {
			got := b.ask(post("/reversehttp", formMedia, form))
			switch got.StatusCode {
			case 201:
				if got.link("first") == "" || got.Header.Get("Location") == "" || strings.ContainsAny(got.link("first"), "?,;") {
					t.Errorf("head = %q", got.head)
				}
			case 400, 403, 413:
				if got.code() == "" {
					t.Errorf("%d %s, want a code", got.StatusCode, got.body)
				}
			default:
				t.Errorf("%d %s", got.StatusCode, got.body)
			}
		})
	})
}

// The message for any visitor's request is that request.
func FuzzMessage(f *testing.F) {
	for _, head := range []string{"GET / HTTP/1.1\r\n", "POST //a%zz?\xe9 HTTP/1.0\r\nX: \xff\r\n", "PUT * HTTP/1.1\r\nContent-Length: 3\r\n", "A http://demo.localhost:8080?x HTTP/1.1\r\n", "GET /a HTTP/1.1\r\nUser-Agent:\r\nExpect: 100-continue\r\n"} {
		f.Add([]byte(head), []byte("abc"))
	}
	f.Fuzz(func(t *testing.T, head, content []byte) {
		inBubble(t, gateway.Options{}, func(b *bubble) {
			at := b.register("name=demo&token=t0")
			v := b.dial(visitorAt)
			v.say(string(head) + "Host: demo.localhost:8080\r\n\r\n" + string(content))
			_ = v.SetReadDeadline(time.Now().Add(patience))
			poll := b.begin(get(at))
			visitor := make(chan struct{})
			go func() { defer close(visitor); _, _ = io.Copy(io.Discard, v) }()
			got := poll.wait()
			if got.err == nil && got.StatusCode == 200 {
				method, rest, _ := strings.Cut(string(bytes.TrimLeft(head, "\r\n")), " ")
				target, _, _ := strings.Cut(rest, " ")
				if !strings.HasPrefix(got.body, fmt.Sprintf("%s %s HTTP/1.", method, target)) {
					t.Errorf("message %.200q of %q", got.body, head)
				}
				if !strings.Contains(target, "%") {
					if req, err := http.ReadRequest(newReader(got.body)); err == nil {
						_, err = io.ReadAll(req.Body)
						if err != nil {
							t.Errorf("content of %.200q: %v", got.body, err)
						}
					} else {
						t.Errorf("message %.200q: %v", got.body, err)
					}
				}
			}
			v.Close()
			<-visitor
		})
	})
}
