package gateway

import (
	"context"
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"reversehttp/schema"
)

// TestEveryVersionIsSpokenOverTLS needs no bubble, for nothing waits.
func TestEveryVersionIsSpokenOverTLS(t *testing.T) {
	lent := httptest.NewTLSServer(http.NotFoundHandler()) // for its certificate
	defer lent.Close()
	certificate := lent.TLS.Certificates[0]
	for name, serve := range map[string]func(*http.Server, net.Listener) error{
		"ServeTLS": func(s *http.Server, l net.Listener) error {
			s.TLSConfig = &tls.Config{Certificates: []tls.Certificate{certificate}}
			return s.ServeTLS(Listen(l), "", "")
		},
		"NewListener": func(s *http.Server, l net.Listener) error {
			return s.Serve(tls.NewListener(Listen(l), &tls.Config{Certificates: []tls.Certificate{certificate}, NextProtos: []string{"h2", "http/1.1"}}))
		},
	} {
		for _, want := range []string{"HTTP/1.1", "HTTP/2.0"} {
			t.Run(name+" "+want, func(t *testing.T) {
				l, err := net.Listen("tcp", "127.0.0.1:0")
				if err != nil {
					t.Fatal(err)
				}
				g, err := New(Options{PublicURL: "https://localhost/at/{label}/", Loopback: true})
				if err != nil {
					t.Fatal(err)
				}
				server := g.Server()
				served := make(chan error, 1)
				go func() { served <- serve(server, l) }()
				transport := lent.Client().Transport.(*http.Transport).Clone()
				transport.Protocols = new(http.Protocols)
				transport.Protocols.SetHTTP1(want == "HTTP/1.1")
				transport.Protocols.SetHTTP2(want == "HTTP/2.0")
				client := &http.Client{Transport: transport}
				defer func() {
					transport.CloseIdleConnections()
					_ = server.Close()
					<-served
					ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
					defer cancel()
					if g.Settle(ctx); g.busy.Load() != 0 {
						t.Errorf("%d connections are busy in the end", g.busy.Load())
					}
					g.Close()
				}()

				origin := "https://" + l.Addr().String()
				post := func(url string) *reply {
					resp, err := client.Post(url, "application/octet-stream", io.MultiReader(strings.NewReader("x")))
					return newReply(resp, err)
				}
				for range 2 { // the second one on a connection that was idle
					got := post(origin + "/at/nobody/a")
					if got.Err != nil || got.Version != want || got.Status != 404 || got.code() != schema.CodeNoClaim {
						t.Errorf("answer = %s %d %s %v, want %s and no_claim", got.Version, got.Status, got.Content, got.Err, want)
					}
				}
			})
		}
	}
}

func TestNothingIsSaidInTheClearBelowTLS(t *testing.T) {
	inWorld(t, Options{FieldTime: 3 * time.Second}, func(w *world) {
		lent := w.gateway.Server()
		lent.ErrorLog = log.New(io.Discard, "", 0)
		network := newPipeListener()
		served := make(chan error, 1)
		go func() { served <- lent.Serve(tls.NewListener(Listen(network), &tls.Config{})) }()
		c, err := network.dial(visitorAddr)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(c, "\x16\x03\x01\x02\x00GET / HTTP/1.1"); err != nil { // the start of a handshake
			t.Fatal(err)
		}
		if said, _ := io.ReadAll(c); strings.Contains(string(said), "HTTP") {
			t.Errorf("it said %q", said)
		}
		_ = lent.Close()
		<-served
	})
}
