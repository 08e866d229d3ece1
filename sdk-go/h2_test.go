package reversehttp_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	reversehttp "reversehttp/sdk-go"
	"reversehttp/server/gateway"
)

// Gateways behind TLS speak HTTP/2, with visitors and with sessions.
func TestStreamsPassByHTTP2(t *testing.T) {
	server := httptest.NewUnstartedServer(nil)
	server.EnableHTTP2 = true
	_, port, _ := net.SplitHostPort(server.Listener.Addr().String())
	g, err := gateway.New(gateway.Options{PublicURL: "https://{label}.localhost:" + port + "/", Loopback: true})
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	server.Config.Handler = g
	server.StartTLS()
	defer server.Close()
	client := server.Client()
	transport := client.Transport.(*http.Transport)
	transport.TLSClientConfig.InsecureSkipVerify = true // the certificate is for another name
	transport.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, server.Listener.Addr().String())
	}
	defer transport.CloseIdleConnections()
	s, err := reversehttp.Claim(t.Context(), "https://localhost:"+port, &reversehttp.Options{Client: client})
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() {
		served <- s.Serve(handle(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Trailer", "X-Sum")
			switch r.URL.Path {
			case "/echo":
				n, err := io.Copy(w, r.Body)
				w.Header().Set("X-Sum", fmt.Sprint(n, err, r.Trailer))
			case "/much":
				w.Header().Del("Trailer")
				w.Write(large)
			case "/abort":
				w.Header().Del("Trailer")
				w.Write(large)
				panic(http.ErrAbortHandler)
			}
		}))
	}()
	defer func() {
		s.Close()
		<-served
	}()
	req, _ := http.NewRequest("POST", s.URL()+"echo", io.MultiReader(strings.NewReader(string(large))))
	req.Trailer = http.Header{"X-Sent": {"1"}}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if resp.ProtoMajor != 2 {
		t.Errorf("HTTP/%d, want 2", resp.ProtoMajor)
	}
	if got := readBody(t, resp); got != string(large) {
		t.Errorf("echo = %d bytes, or others, want %d", len(got), len(large))
	}
	if got, want := resp.Trailer.Get("X-Sum"), fmt.Sprint(len(large), " <nil> map[X-Sent:[1]]"); got != want {
		t.Errorf("trailer = %q, want %q", got, want)
	}
	if resp, err = client.Get(s.URL() + "much"); err != nil {
		t.Fatal(err)
	}
	if got := readBody(t, resp); got != string(large) {
		t.Errorf("GET = %d bytes, or others, want %d", len(got), len(large))
	}
	if resp, err = client.Get(s.URL() + "abort"); err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, resp.Body); err == nil {
		t.Errorf("an aborted answer ended well, after %d bytes", n)
	}
	resp.Body.Close()
}

// An upgrade has its own HTTP/1.1 connection, beside the one for all other requests.
func TestALinkOpensWhereAllElseIsHTTP2(t *testing.T) {
	server := httptest.NewUnstartedServer(nil)
	server.EnableHTTP2 = true
	_, port, _ := net.SplitHostPort(server.Listener.Addr().String())
	g, err := gateway.New(gateway.Options{PublicURL: "https://{label}.localhost:" + port + "/", Loopback: true})
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	var versions [3]atomic.Int64
	server.Config.Handler = handle(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/claims" || strings.HasSuffix(r.URL.Path, "/link") {
			versions[r.ProtoMajor].Add(1)
		}
		g.ServeHTTP(w, r)
	})
	server.StartTLS()
	defer server.Close()
	for name, change := range map[string]func(*http.Transport){
		"as it is":          func(*http.Transport) {},
		"of a RoundTripper": nil,
		"asks for h2":       func(of *http.Transport) { of.TLSClientConfig.NextProtos = []string{"h2", "http/1.1"} },
		"names protocols": func(of *http.Transport) {
			of.Protocols = new(http.Protocols)
			of.Protocols.SetHTTP1(true)
			of.Protocols.SetHTTP2(true)
		},
	} {
		t.Run(name, func(t *testing.T) {
			transport := server.Client().Transport.(*http.Transport).Clone()
			transport.TLSClientConfig.InsecureSkipVerify = true // the certificate is for another name
			transport.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, network, server.Listener.Addr().String())
			}
			defer transport.CloseIdleConnections()
			client := &http.Client{Transport: transport}
			if change == nil {
				client.Transport = roundTrip(transport.RoundTrip)
			} else {
				change(transport)
			}
			versions[1].Store(0)
			versions[2].Store(0)
			var said bytes.Buffer
			s, err := reversehttp.Claim(t.Context(), "https://localhost:"+port, &reversehttp.Options{Client: client, Logger: slog.New(slog.NewTextHandler(&said, nil))})
			if err != nil {
				t.Fatal(err)
			}
			served := make(chan error, 1)
			go func() {
				served <- s.Serve(handle(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello") }))
			}()
			resp, err := client.Get(s.URL())
			if err != nil {
				t.Fatal(err)
			}
			if got := readBody(t, resp); got != "hello" || resp.ProtoMajor != 2 {
				t.Errorf("visitor got %q by HTTP/%d, want hello by HTTP/2", got, resp.ProtoMajor)
			}
			s.Close()
			<-served
			if !strings.Contains(said.String(), "requests come by a link") {
				t.Errorf("the session said %q, want that requests come by a link", &said)
			}
			if one, two := versions[1].Load(), versions[2].Load(); one != 1 || two != 1 {
				t.Errorf("%d requests came by HTTP/1.1 and %d by HTTP/2, want the link and the claim", one, two)
			}
		})
	}
}
