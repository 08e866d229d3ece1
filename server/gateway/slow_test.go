package gateway

import (
	"bufio"
	"io"
	"net/http"
	"testing"
	"time"
)

func TestSlowContentOfAProgramEndsItsConnection(t *testing.T) {
	for name, head := range map[string]string{
		"read by the gateway":     "POST /claims HTTP/1.1\r\nHost: localhost:8080\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{",
		"not read by the gateway": "GET /healthz HTTP/1.1\r\nHost: localhost:8080\r\nContent-Length: 100\r\n\r\n{",
	} {
		inWorld(t, Options{}, func(w *world) {
			c, err := w.network.dial(visitorAddr)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = c.Close() }()
			begun := time.Now()
			if _, err := io.WriteString(c, head); err != nil {
				t.Fatal(err)
			}
			r := bufio.NewReader(c)
			res, err := http.ReadResponse(r, nil)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			_, _ = io.Copy(io.Discard, res.Body)
			_, err = r.ReadByte()
			if took := time.Since(begun); err == nil || took > time.Minute {
				t.Errorf("%s: connection ended with %v after %v, want its end within a minute", name, err, took)
			}
		})
	}
}
