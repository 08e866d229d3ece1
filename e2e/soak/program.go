package main

import (
	"bufio"
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"runtime"
	"time"

	reversehttp "reversehttp/sdk-go"
)

// roleProgram is the argument with which the soak starts itself as a program.
const roleProgram = "as-program"

// nodeProgram is the same program for Node.
//
//go:embed program.js
var nodeProgram []byte

// The answers of both programs.
const (
	small   = "as small as answers are\n"
	tokens  = 10
	tokenIn = 20 * time.Millisecond
	large   = 1 << 20
)

// beProgram serves the label args[1] with the token args[2], which may be empty, at the gateway args[0], until standard
// input ends.
func beProgram(args []string) error {
	if len(args) != 3 {
		return fmt.Errorf("give gateway, label and token, not %q", args)
	}
	s, err := reversehttp.Claim(context.Background(), args[0], &reversehttp.Options{Label: args[1], Token: args[2], Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(handler()) }()
	fmt.Println(s.URL())
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		if err := json.NewEncoder(os.Stdout).Encode(figures{Heap: float64(m.HeapAlloc), Goroutines: float64(runtime.NumGoroutine())}); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_ = s.Shutdown(ctx)
	if err := <-served; err != reversehttp.ErrClosed {
		return err
	}
	return nil
}

func handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /small", func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, small) })
	mux.HandleFunc("POST /echo", func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) })
	mux.HandleFunc("POST /up", func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		_, _ = fmt.Fprint(w, n)
	})
	mux.HandleFunc("GET /down", func(w http.ResponseWriter, r *http.Request) {
		content := bytes.Repeat([]byte{0xff}, 32<<10)
		for range large / len(content) {
			if _, err := w.Write(content); err != nil {
				return
			}
		}
	})
	mux.HandleFunc("GET /tokens", func(w http.ResponseWriter, r *http.Request) {
		for n := range tokens {
			_, _ = fmt.Fprintf(w, "%d\n", n)
			w.(http.Flusher).Flush()
			select {
			case <-time.After(tokenIn):
			case <-r.Context().Done():
				return
			}
		}
	})
	mux.HandleFunc("/wait", func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	return mux
}
