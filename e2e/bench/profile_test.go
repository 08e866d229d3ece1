package main

import (
	"net"
	"net/http/httptest"
	"net/url"
	"os"
	"testing"
	"time"

	reversehttp "reversehttp/sdk-go"
	"reversehttp/server/family"
	"reversehttp/server/gateway"
)

// Gateway, handler and visitors run in one process, for -cpuprofile and -memprofile. TRANSPORT names the transport. For
// comparisons run the bench itself.

func BenchmarkTraffic(b *testing.B) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	g, err := gateway.New(gateway.Options{PublicURL: "http://{label}.localhost:" + port + "/", Loopback: true, Doors: family.Doors(family.Options{})})
	if err != nil {
		b.Fatal(err)
	}
	defer g.Close()
	server := g.Server()
	go func() { _ = server.Serve(gateway.Listen(l)) }()
	defer func() { _ = server.Close() }()

	s, err := reversehttp.Claim(b.Context(), "http://"+l.Addr().String(), &reversehttp.Options{Label: "bench", Transport: reversehttp.Transport(os.Getenv("TRANSPORT"))})
	if err != nil {
		b.Fatal(err)
	}
	go func() { _ = s.Serve(handler()) }()
	defer func() { _ = s.Close() }()
	at, err := url.Parse(s.URL())
	if err != nil {
		b.Fatal(err)
	}
	benchmarkLoads(b, l.Addr().String(), at.Host)
}

// BenchmarkFloor measures the handler alone, on a port of its own.
func BenchmarkFloor(b *testing.B) {
	s := httptest.NewServer(handler())
	defer s.Close()
	address := s.Listener.Addr().String()
	benchmarkLoads(b, address, address)
}

func benchmarkLoads(b *testing.B, address, host string) {
	for _, l := range append([]load{getSmall(1), getSmall(64), down("64 MiB down", 64<<20), up("64 MiB up", 64<<20)}, echoes()...) {
		b.Run(l.title(), func(b *testing.B) {
			request := requestOf(l.method, l.target, host, l.fields, l.content)
			visitors := make([]*visitor, l.concurrency)
			for i := range visitors {
				v, err := dial(address, 10*time.Minute)
				if err != nil {
					b.Fatal(err)
				}
				defer v.close()
				visitors[i] = v
			}
			b.ReportAllocs()
			b.ResetTimer()
			took, err := l.visit(visitors, request, times(max(0, b.N-len(visitors))))
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(percentile(took, 50)*1e6, "p50-ns")
		})
	}
}
