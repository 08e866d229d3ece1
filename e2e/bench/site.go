package main

import (
	"io"
	"net"
	"net/http"
)

// site is where the page comes from, and what it reports to.
type site struct {
	url             string
	server          *http.Server
	claimed, failed chan string
}

func startSite() (*site, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &site{url: "http://" + l.Addr().String() + "/", claimed: make(chan string, 1), failed: make(chan string, 1)}
	to := func(c chan string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			b, _ := io.ReadAll(io.LimitReader(r.Body, 4096))
			select {
			case c <- string(b):
			default:
			}
		}
	}
	mux := http.NewServeMux()
	mux.Handle("GET /", http.FileServerFS(pageFiles))
	mux.HandleFunc("POST /claimed", to(s.claimed))
	mux.HandleFunc("POST /failed", to(s.failed))
	s.server = &http.Server{Handler: mux}
	go func() { _ = s.server.Serve(l) }()
	return s, nil
}

func (s *site) close() { _ = s.server.Close() }
