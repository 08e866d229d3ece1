package envelope

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"
)

// sizes are the messages that are measured: without content, with text, and with binary content.
func sizes() map[string][]byte {
	text := []byte(strings.Repeat("<p class=\"greeting\">Hello, wörld!</p>\n", 2000))[:64<<10]
	binary := make([]byte, 64<<10)
	rnd := rand.New(rand.NewPCG(1, 2))
	for i := range binary {
		binary[i] = byte(rnd.Uint32())
	}
	return map[string][]byte{"get": nil, "text": bytes.ToValidUTF8(text, nil), "binary": binary}
}

var (
	benchRequest = Request{
		ID: "0123456789abcdef0123", Attempt: 1, TimeoutMs: 60_000, Method: "GET", Target: "/hello?name=world", URL: "http://demo.localhost:8080/hello?name=world",
		Base: "http://demo.localhost:8080/", HTTPVersion: "1.1", RemoteAddr: "127.0.0.1:51234", ResponseURL: "http://localhost:8080/sessions/0123456789abcdef/exchanges/0123456789abcdef0123/response",
	}
	benchFields = []Field{
		{"Host", "demo.localhost:8080"}, {"Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}, {"Accept-Encoding", "gzip, deflate, br"},
		{"Accept-Language", "en-GB,en;q=0.5"}, {"Cookie", "session=0123456789abcdef"}, {"Forwarded", "for=127.0.0.1;host=demo.localhost;proto=http"}, {"User-Agent", "Mozilla/5.0 (X11; Linux x86_64)"},
	}
)

// each measures do for every size, with its allocations.
func each(b *testing.B, do func(b *testing.B, content []byte)) {
	all := sizes()
	for _, name := range []string{"get", "text", "binary"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			do(b, all[name])
		})
	}
}

func BenchmarkEncodeRequest(b *testing.B) {
	each(b, func(b *testing.B, content []byte) {
		room := make([]byte, 0, 128<<10)
		for b.Loop() {
			AppendRequest(room, &benchRequest, benchFields, content)
		}
	})
}

func BenchmarkDecodeRequest(b *testing.B) {
	each(b, func(b *testing.B, content []byte) {
		sent := append(AppendRequest([]byte(`{"cursor":"5","messages":[`), &benchRequest, benchFields, content), "]}"...)
		for b.Loop() {
			if got, err := DecodeBatch(sent); err != nil || got.Messages[0].Fault != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkEncodeResponse(b *testing.B) {
	each(b, func(b *testing.B, content []byte) {
		for b.Loop() {
			fields := Pairs(nil).Append("Content-Type", "text/html; charset=utf-8").Append("Cache-Control", "no-store")
			JSONAnswers.Response(benchRequest.ID, 200, fields, content, Tail{})
		}
	})
}

func BenchmarkDecodeResponse(b *testing.B) {
	each(b, func(b *testing.B, content []byte) {
		fields := Pairs(nil).Append("Content-Type", "text/html; charset=utf-8").Append("Cache-Control", "no-store")
		sent := JSONAnswers.Response(benchRequest.ID, 200, fields, content, Tail{})
		for b.Loop() {
			if got, err := DecodeAnswers(sent, 64, 256); err != nil || got[0].Fault != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkAnswer(b *testing.B) {
	content := []byte(strings.Repeat("<p>Hello, \"world\"!</p>\n", 100))
	b.SetBytes(int64(len(content)))
	b.ReportAllocs()
	for b.Loop() {
		JSONAnswers.Response("0123456789abcdef", 200, Pairs(nil).Append("Content-Type", "text/html"), content, Tail{})
	}
}
