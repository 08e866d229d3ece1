package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
)

// roleProxy is the argument with which the bench starts itself as the proxy.
const roleProxy = "as-proxy"

// limited joins a reader with the Close of another.
type limited struct {
	io.Reader
	io.Closer
}

// serveProxy serves a plain ReverseProxy in front of the address args[0]. Its transport keeps enough idle connections
// for all concurrent requests.
func serveProxy(args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("give the address of the handler, not %q", args)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConns, transport.MaxIdleConnsPerHost = 0, 2048
	to := &url.URL{Scheme: "http", Host: args[0]}
	proxy := &httputil.ReverseProxy{
		Transport: transport,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(to)
			r.SetXForwarded()
			// A server closes the content of a request when the response begins, but the transport still reads for
			// the end of the content. After a quick answer that read fails, and the transport cuts the response off.
			// So the limit here reports the end.
			if r.Out.Body != nil && r.In.ContentLength > 0 {
				r.Out.Body = limited{io.LimitReader(r.In.Body, r.In.ContentLength), r.In.Body}
			}
		},
	}
	serve := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/metrics" {
			writeMallocs(w, r)
			return
		}
		proxy.ServeHTTP(w, r)
	})
	ended := make(chan error, 2)
	go func() { ended <- http.Serve(l, serve) }()
	go func() { bereft(); ended <- nil }()
	fmt.Println(l.Addr())
	return <-ended
}
