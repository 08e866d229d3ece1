package main

import (
	"encoding/json"
	"net/http"
)

// problem answers with an error (RFC 9457), as the gateway does.
func problem(w http.ResponseWriter, status int, code, detail string) {
	content, _ := json.Marshal(map[string]any{"title": http.StatusText(status), "status": status, "code": code, "detail": detail})
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(append(content, '\n'))
}
