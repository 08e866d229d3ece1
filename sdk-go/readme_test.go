package reversehttp_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	reversehttp "reversehttp/sdk-go"
)

// The snippets of README.md and doc.go, so that they compile.

func readmeServe(ctx context.Context, router http.Handler) error {
	c, err := reversehttp.Claim(ctx, "https://gateway.example", &reversehttp.Options{Label: "demo"})
	if err != nil {
		return err // errors.Is(err, reversehttp.ErrLabelTaken)
	}
	defer c.Close()
	fmt.Println(c.URL())
	return c.Serve(router)
}

func readmeShutdown(ctx context.Context, c *reversehttp.Session, router http.Handler) error {
	served := make(chan error, 1)
	go func() { served <- c.Serve(router) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done(): // of signal.NotifyContext
	}
	down, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return c.Shutdown(down)
}

func readmeReceive(mux *http.ServeMux, secret string, handler http.Handler) error {
	hook, err := reversehttp.Receive(reversehttp.Webhook{Preset: "github", Secret: secret}, handler)
	if err != nil {
		return err // the secret is invalid for the preset
	}
	mux.Handle("/hook", hook)
	return nil
}

func readmeTrace(c *reversehttp.Session, origin *url.URL) error {
	relay := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(origin)
		trace := reversehttp.RequestInfo(r.In.Context()).Trace
		trace.SetHeader(r.Out.Header)
		slog.Info("relayed", "path", r.In.URL.Path, "trace_id", trace)
	}}
	return c.Serve(relay)
}

var _, _, _, _ = readmeServe, readmeShutdown, readmeReceive, readmeTrace

func TestEverySnippetOfTheDocumentsCompiles(t *testing.T) {
	code := read(t, "readme_test.go")
	var snippets []string
	for _, m := range regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(read(t, "README.md"), -1) {
		snippets = append(snippets, "\t"+strings.ReplaceAll(strings.TrimSpace(m[1]), "\n", "\n\t"))
	}
	doc := regexp.MustCompile(`(?m)(^//\t.*\n)+`).FindString(read(t, "doc.go"))
	snippets = append(snippets, strings.ReplaceAll(strings.TrimSuffix(doc, "\n"), "//\t", "\t"))
	if len(snippets) != 5 {
		t.Fatalf("%d snippets, want 5", len(snippets))
	}
	for _, s := range snippets {
		if !strings.Contains(code, "{\n"+s+"\n}") {
			t.Errorf("no function has this body:\n%s", s)
		}
	}
}

// The program of the main README builds in an empty folder, by the commands that both READMEs show.
func TestTheProgramOfTheREADMEBuildsInAnEmptyFolder(t *testing.T) {
	text := read(t, "../README.md")
	program := regexp.MustCompile("(?s)```go\n(package main.*?)```").FindStringSubmatch(text)
	lines := regexp.MustCompile(`(?m)^    (go mod .*)$`).FindAllStringSubmatch(text, -1)
	if program == nil || len(lines) != 3 {
		t.Fatalf("README.md shows the program %q and %d lines, want 3", program, len(lines))
	}
	clone, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "main.go"), []byte(program[1]), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, line := range append(lines, []string{"", "go build -o " + os.DevNull + " ."}) {
		if !strings.Contains(read(t, "README.md"), line[1]) && line[0] != "" {
			t.Errorf("sdk-go/README.md does not show %q", line[1])
		}
		words := strings.Fields(strings.ReplaceAll(line[1], "/path/to/the/clone", clone))
		cmd := exec.CommandContext(t.Context(), words[0], words[1:]...)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "GOPROXY=off", "GOSUMDB=off", "GOFLAGS=", "GOWORK=off")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", line[1], err, out)
		}
	}
}

func read(t *testing.T, name string) string {
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
