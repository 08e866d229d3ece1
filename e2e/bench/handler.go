package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"time"

	reversehttp "reversehttp/sdk-go"
)

// roleHandler is the argument with which the bench starts itself as the handler.
const roleHandler = "as-handler"

// handler answers the requests of all ways:
//
//	GET /small                 1 KiB
//	GET /content?bytes=N       N bytes
//	POST /echo                 the content of the request
//	POST /sink                 the number of bytes of that content
//	GET /events?count=N        N server-sent events, each with the time of its writing
//	GET /socket                a WebSocket that echoes
func handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /small", func(w http.ResponseWriter, r *http.Request) {
		answer(w, "text/plain; charset=utf-8", whole(small))
	})
	mux.HandleFunc("GET /content", func(w http.ResponseWriter, r *http.Request) {
		n, err := strconv.ParseInt(r.URL.Query().Get("bytes"), 10, 64)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		answer(w, "application/octet-stream", file(n))
	})
	mux.HandleFunc("POST /echo", func(w http.ResponseWriter, r *http.Request) {
		body := make([]byte, max(r.ContentLength, 0))
		if _, err := io.ReadFull(r.Body, body); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		answer(w, r.Header.Get("Content-Type"), whole(body))
	})
	mux.HandleFunc("POST /sink", func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		answer(w, "text/plain; charset=utf-8", whole(strconv.AppendInt(nil, n, 10)))
	})
	mux.HandleFunc("GET /events", writeEvents)
	mux.HandleFunc("GET /socket", echoSocket)
	return mux
}

func answer(w http.ResponseWriter, contentType string, c content) {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.FormatInt(c.size, 10))
	_ = c.writeTo(w) // it fails if the visitor left
}

// eventEvery is the pause between events, long enough for one to arrive before the next is written.
const eventEvery = 4 * time.Millisecond

func writeEvents(w http.ResponseWriter, r *http.Request) {
	count, _ := strconv.Atoi(r.URL.Query().Get("count"))
	w.Header().Set("Content-Type", "text/event-stream")
	every := time.NewTicker(eventEvery)
	defer every.Stop()
	for range count {
		select {
		case <-every.C:
		case <-r.Context().Done():
			return
		}
		_, _ = fmt.Fprintf(w, "data: %d\n\n", time.Now().UnixNano())
		if err := http.NewResponseController(w).Flush(); err != nil {
			return
		}
	}
}

// serveHandler serves the handler on a port of its own and, through the gateway args[0], on a claim for each transport
// with args[1] sessions. If there is an args[2], it connects to that address instead of the gateway's. It prints its
// address and the public URLs in one line.
func serveHandler(args []string) error {
	if len(args) < 2 {
		return fmt.Errorf("give the gateway and the number of sessions, not %q", args)
	}
	sessions, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	h, ended := handler(), make(chan error, 2+sessions*len(transports))
	said := []any{l.Addr()}
	for _, transport := range transports {
		o := reversehttp.Options{Label: "bench-" + string(transport) + "-" + args[1], Transport: transport}
		for n := range sessions {
			o.Client = clientOf(transport, args[2:]...)
			s, err := reversehttp.Claim(context.Background(), args[0], &o)
			if err != nil {
				return err
			}
			defer func() { _ = s.Close() }()
			go func() { ended <- s.Serve(h) }()
			if o.Token = s.Token(); n == 0 {
				said = append(said, s.URL())
			}
		}
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", writeMallocs)
	mux.Handle("/", h)
	go func() { ended <- http.Serve(l, mux) }()
	go func() { bereft(); ended <- nil }()
	fmt.Println(said...)
	return <-ended
}

// clientOf returns a client for a session with a transport. If an address is given, it opens all connections to that.
func clientOf(transport reversehttp.Transport, through ...string) *http.Client {
	t := reversehttp.NewTransport()
	if len(through) > 0 {
		t.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, through[0])
		}
	}
	if transport == reversehttp.TransportLink {
		return &http.Client{Transport: linkOnly{t}}
	}
	return &http.Client{Transport: t}
}

// linkOnly refuses polls. Otherwise a session whose link fails would fall back, and the figures would be those of a
// stream.
type linkOnly struct{ http.RoundTripper }

func (l linkOnly) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/requests") {
		return nil, errors.New("the bench wants a link, not a poll")
	}
	return l.RoundTripper.RoundTrip(r)
}

// writeMallocs answers in the format of a gateway's metrics.
func writeMallocs(w http.ResponseWriter, r *http.Request) {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	_, _ = fmt.Fprintf(w, "%s %d\n", mallocsMetric, m.Mallocs)
}
