package cluster

import (
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"sync/atomic"

	"reversehttp/e2e/cluster/cable"
)

// balance returns a balancer at an address. It gives each connection to another node than the one
// before, whatever the connection carries, and to the next one if a node refuses it. The caller calls
// Close.
func balance(address string, nodes []*Node) (*cable.Cable, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	var turn atomic.Int64
	return cable.Lead(l, func(ctx context.Context) (to net.Conn, err error) {
		for range nodes {
			at := nodes[int(turn.Add(1))%len(nodes)]
			if to, err = new(net.Dialer).DialContext(ctx, "tcp", at.Address); err == nil {
				break
			}
		}
		return to, err
	}), nil
}

// relay serves at a listener a proxy of HTTP, which gives each request a connection of its own to a
// balancer. The caller calls Close.
func relay(l net.Listener, balancer string) *http.Server {
	proxy := &httputil.ReverseProxy{
		Transport: &http.Transport{DisableKeepAlives: true, DisableCompression: true},
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = "http", balancer, r.In.Host
			r.Out.URL.RawQuery = r.In.URL.RawQuery
			for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"} {
				if values := r.In.Header[name]; values != nil {
					r.Out.Header[name] = values
				}
			}
		},
		FlushInterval: -1,
		ErrorLog:      log.New(io.Discard, "", 0),
	}
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex()
		w.Header()["Content-Type"] = nil // so that net/http does not add one that is missing
		proxy.ServeHTTP(w, r)
	})}
	go func() { _ = s.Serve(l) }()
	return s
}
