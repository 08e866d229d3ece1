package reversehttp_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"testing"

	"github.com/coder/websocket"

	"reversehttp/schema"
	reversehttp "reversehttp/sdk-go"
)

// BenchmarkAnswersOnALink measures the cost of an exchange for the program: the gateway sends batches that
// were encoded in advance.
func BenchmarkAnswersOnALink(b *testing.B) {
	links := make(chan *websocket.Conn, 1)
	var origin string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/.well-known/reversehttp":
			give(w, 200, map[string]any{"version": 1, "claims": "/claims", "transports": []string{"json", "framed"}})
		case "/claims":
			limits := schema.Limits{InlineBytes: 64 << 10, FramedInlineBytes: 1 << 20, PartBytes: 1 << 20, AnswerBytes: 8 << 20, Batch: 64, WaitSeconds: 25}
			give(w, 201, schema.ClaimAnswer{Label: "demo", URL: demo, Token: "t0", Cursor: "0-x", Limits: limits,
				Session: origin + "/session", Requests: origin + "/requests", Responses: origin + "/responses", Link: "ws" + origin[4:] + "/link"})
		case "/link":
			conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"reversehttp.1"}})
			if err != nil {
				b.Error(err)
				return
			}
			conn.SetReadLimit(256 << 10)
			conn.Write(r.Context(), websocket.MessageText, []byte(`{"type":"welcome","limits":{},"exchangeWindow":1048576,"linkWindow":4194304}`))
			links <- conn
		default:
			w.WriteHeader(204)
		}
	}))
	defer server.Close()
	origin = server.URL
	content := bytes.Repeat([]byte("x"), 1<<10)
	s, err := reversehttp.Claim(context.Background(), origin, &reversehttp.Options{Transport: reversehttp.TransportLink})
	if err != nil {
		b.Fatal(err)
	}
	served := make(chan error)
	go func() {
		served <- s.Serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header()["Content-Type"] = []string{"application/octet-stream"}
			w.Write(content)
		}))
	}()
	conn := <-links
	const batch = 16
	room := make([]byte, 256<<10)
	var rounds [][]byte
	for n := 0; n < b.N+batch; n += batch {
		var message, results []byte
		results = append(results, `{"type":"results","results":[`...)
		for i := range batch {
			message = append(message, asks(n+i+1, "GET", "/some/path?query", "")...)
			if i > 0 {
				results = append(results, ',')
			}
			results = fmt.Appendf(results, `{"id":"e%d","status":"accepted"}`, n+i+1)
		}
		rounds = append(rounds, message, append(results, "]}\n"...))
	}
	read := func(lines int) {
		for lines > 0 {
			_, r, err := conn.Reader(context.Background())
			if err != nil {
				b.Fatal(err)
			}
			for {
				n, err := r.Read(room)
				lines -= bytes.Count(room[:n], []byte(`{"type":"response"`))
				if err == io.EOF {
					break
				}
			}
		}
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	b.ResetTimer()
	for i := 0; i < len(rounds); i += 2 {
		conn.Write(context.Background(), websocket.MessageBinary, rounds[i])
		read(batch)
		conn.Write(context.Background(), websocket.MessageBinary, rounds[i+1])
	}
	b.StopTimer()
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(after.Mallocs-before.Mallocs)/float64(len(rounds)/2*batch), "mallocs/exchange")
	s.Close()
	<-served
}
