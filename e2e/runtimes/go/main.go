// Command go answers vectors with sdk-go: go GATEWAY LABEL ANSWERS.
// It prints a report for each request.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"

	reversehttp "reversehttp/sdk-go"
)

// answer is the answer of the handler in a case.
type answer struct {
	Status  int         `json:"status"`
	Headers [][2]string `json:"headers"`
	Content []byte      `json:"bodyBase64"`
}

// report is a request as net/http shows it. In strings each character is one byte.
type report struct {
	Method      string      `json:"method"`
	Target      string      `json:"target"`
	URL         string      `json:"url"`
	Base        string      `json:"base"`
	HTTPVersion string      `json:"httpVersion"`
	RemoteAddr  string      `json:"remoteAddr"`
	Attempt     int         `json:"attempt"`
	Headers     [][2]string `json:"headers"`
	Content     []byte      `json:"bodyBase64"`
}

func main() {
	if err := run(os.Args[1], os.Args[2], os.Args[3]); err != nil {
		log.Fatal(err)
	}
}

func run(gateway, label, path string) error {
	var answers map[string]answer
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, &answers); err != nil {
		return err
	}
	c, err := reversehttp.Claim(context.Background(), gateway, &reversehttp.Options{Label: label, Transport: reversehttp.TransportStream, Logger: slog.Default()})
	if err != nil {
		return err
	}
	end, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	context.AfterFunc(end, func() { _ = c.Shutdown(context.Background()) })
	fmt.Printf("{\"url\":%q}\n", c.URL())
	if err := c.Serve(handler(answers)); err != reversehttp.ErrClosed {
		return err
	}
	return nil
}

func handler(answers map[string]answer) http.Handler {
	var mu sync.Mutex // guards standard output
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen, err := reportOf(r)
		if err != nil {
			panic(err)
		}
		line, err := json.Marshal(seen)
		if err != nil {
			panic(err)
		}
		mu.Lock()
		fmt.Println(string(line))
		mu.Unlock()

		a := answers[r.Header.Get("Vector")]
		// A nil value prevents net/http, and sdk-go in its place, from guessing.
		w.Header()["Content-Type"] = nil
		for _, f := range a.Headers {
			w.Header().Add(f[0], toBytes(f[1]))
		}
		w.WriteHeader(a.Status)
		if _, err := w.Write(a.Content); err != nil && err != http.ErrBodyNotAllowed {
			panic(err)
		}
	})
}

func reportOf(r *http.Request) (report, error) {
	info := reversehttp.RequestInfo(r.Context())
	content, err := io.ReadAll(r.Body)
	seen := report{
		Method: r.Method, Target: toText(r.RequestURI), URL: toText(info.URL), Base: info.Base,
		HTTPVersion: strings.TrimPrefix(r.Proto, "HTTP/"), RemoteAddr: r.RemoteAddr, Attempt: info.Attempt,
		Headers: [][2]string{{"Host", r.Host}}, Content: content,
	}
	for name, values := range r.Header {
		for _, v := range values {
			seen.Headers = append(seen.Headers, [2]string{name, toText(v)})
		}
	}
	return seen, err
}

// toText converts each byte to the character of its number, as in an envelope.
func toText(s string) string {
	var b strings.Builder
	for i := range len(s) {
		b.WriteRune(rune(s[i]))
	}
	return b.String()
}

// toBytes is the inverse of toText.
func toBytes(s string) string {
	var b strings.Builder
	for _, c := range s {
		b.WriteByte(byte(c))
	}
	return b.String()
}
