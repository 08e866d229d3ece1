package main

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"time"
)

// site serves the page, and receives its reports.
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

// wait waits until the page in a browser has claimed, and returns the public URL.
func (s *site) wait(ctx context.Context, b *browser) (string, error) {
	select {
	case claimed := <-s.claimed:
		return claimed, nil
	case reason := <-s.failed:
		return "", errors.New("the page: " + reason)
	case <-b.ended:
		return "", errors.New("the browser ended")
	case <-time.After(time.Minute):
		return "", errors.New("the page did not claim within a minute")
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

func (s *site) close() { _ = s.server.Close() }
