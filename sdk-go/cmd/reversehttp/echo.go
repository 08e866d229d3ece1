package main

import (
	"encoding/json"
	"log/slog"
	"net/http"
)

// echo answers every request with a description of it.
type echo struct{}

func (*echo) open(view, *slog.Logger) (service, error) {
	return service{http.HandlerFunc(answerEcho), "what comes, as JSON", nil, readers}, nil
}

func answerEcho(w http.ResponseWriter, r *http.Request) {
	q := readRequest(r)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff") // strangers choose the content
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(q)
}
