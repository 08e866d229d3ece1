package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"

	reversehttp "reversehttp/sdk-go"
)

// The roles in which the bench starts itself again.
const (
	roleHandler = "as-handler"
	roleProxy   = "as-proxy"
)

// transports are those of sdk-go that are compared.
var transports = []reversehttp.Transport{reversehttp.TransportPoll, reversehttp.TransportStream, reversehttp.TransportPTTH}

// small is the content of GET /small.
var small = bytes.Repeat([]byte("ReverseHttp lends URL space. OK\n"), 1024/32)

// handler answers both ways: GET /small with 1 KiB, POST /echo with what came.
func handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /small", func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Type", "text/plain; charset=utf-8")
		h.Set("Content-Length", strconv.Itoa(len(small)))
		_, _ = w.Write(small)
	})
	mux.HandleFunc("POST /echo", func(w http.ResponseWriter, r *http.Request) {
		body := make([]byte, max(r.ContentLength, 0))
		if _, err := io.ReadFull(r.Body, body); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		h := w.Header()
		h.Set("Content-Type", r.Header.Get("Content-Type"))
		h.Set("Content-Length", strconv.Itoa(len(body)))
		_, _ = w.Write(body)
	})
	return mux
}

// serveHandler serves the handler on a port of its own and, through the gateway
// at args[0], on a claim for each transport. It tells address and public URLs in one
// line.
func serveHandler(args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("give the gateway, not %q", args)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	h, ended := handler(), make(chan error, 2+len(transports))
	said := []any{l.Addr()}
	for _, transport := range transports {
		s, err := reversehttp.Claim(context.Background(), args[0], &reversehttp.Options{Label: "bench-" + string(transport), Transport: transport})
		if err != nil {
			return err
		}
		defer s.Close()
		go func() { ended <- s.Serve(h) }()
		said = append(said, s.URL())
	}
	go func() { ended <- http.Serve(l, h) }()
	go func() { bereft(); ended <- nil }()
	fmt.Println(said...)
	return <-ended
}

// content is what a reader gives, with another's Close.
type content struct {
	io.Reader
	io.Closer
}

// serveProxy serves a plain ReverseProxy in front of the address args[0]. Its
// transport keeps a connection for every request that may be under way.
func serveProxy(args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("give the address of the handler, not %q", args)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConns, transport.MaxIdleConnsPerHost = 0, 256
	to := &url.URL{Scheme: "http", Host: args[0]}
	proxy := &httputil.ReverseProxy{
		Transport: transport,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(to)
			r.SetXForwarded()
			// A server closes the content of a request when its response begins, and the
			// transport reads once more for the end of it. Where an answer is quick the
			// transport loses, and cuts the response off. So the end is told from here.
			if r.Out.Body != nil && r.In.ContentLength > 0 {
				r.Out.Body = content{io.LimitReader(r.In.Body, r.In.ContentLength), r.In.Body}
			}
		},
	}
	ended := make(chan error, 2)
	go func() { ended <- http.Serve(l, proxy) }()
	go func() { bereft(); ended <- nil }()
	fmt.Println(l.Addr())
	return <-ended
}
