package reversehttp_test

import (
	"bytes"
	"errors"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"

	reversehttp "reversehttp/sdk-go"
	"reversehttp/server/gateway"
)

func TestAnAnswerThatBreaksOffBehindAProxyIsCutShort(t *testing.T) {
	relay := &httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(&url.URL{Scheme: "http", Host: "origin.test"}) },
		FlushInterval: -1,
		ErrorLog:      log.New(io.Discard, "", 0),
		Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			broken := io.MultiReader(strings.NewReader("some"), brokenReader{})
			return &http.Response{StatusCode: 200, ProtoMajor: 1, ProtoMinor: 1, Body: io.NopCloser(broken), ContentLength: -1, Request: r}, nil
		}),
	}
	l := lend(t, hostShape, gateway.Options{})
	s := l.serve(t, relay, nil)
	resp, err := l.client(t).Get(s.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if got, err := io.ReadAll(resp.Body); err == nil || string(got) != "some" {
		t.Errorf("content = %q, %v, want an error after %q", got, err, "some")
	}
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, errors.New("broken") }

func TestAHandlerFindsAServerThatLogsToTheLogger(t *testing.T) {
	var logged safeBuffer
	l := lend(t, hostShape, gateway.Options{})
	s := l.serve(t, handle(func(w http.ResponseWriter, r *http.Request) {
		r.Context().Value(http.ServerContextKey).(*http.Server).ErrorLog.Print("hello")
	}), &reversehttp.Options{Logger: slog.New(slog.NewTextHandler(&logged, nil))})
	resp, err := l.client(t).Get(s.URL())
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if got := logged.String(); resp.StatusCode != http.StatusOK || !strings.Contains(got, "level=WARN msg=hello") {
		t.Errorf("status %d, log %q, want 200 and a warning", resp.StatusCode, got)
	}
}

// lines are the lines of a log.
type lines chan string

func (l lines) Write(line []byte) (int, error) {
	l <- string(line)
	return len(line), nil
}

func TestACookieThatTheGatewayDropsIsLogged(t *testing.T) {
	for _, transport := range []reversehttp.Transport{reversehttp.TransportLink, reversehttp.TransportStream, reversehttp.TransportPoll} {
		logged := make(lines, 64)
		l := lend(t, hostShape, gateway.Options{})
		s := l.serve(t, handle(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Add("Set-Cookie", "own=1")
			w.Header().Add("Set-Cookie", "wide=1; Domain=example.com")
			if r.URL.Path == "/streamed" {
				_, _ = io.WriteString(w, "some ")
				w.(http.Flusher).Flush()
			}
			_, _ = io.WriteString(w, "content")
		}), &reversehttp.Options{Transport: transport, Logger: slog.New(slog.NewTextHandler(logged, nil))})
		for _, path := range []string{"", "streamed"} {
			resp, err := l.client(t).Get(s.URL() + path)
			if err != nil {
				t.Fatal(err)
			}
			content, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if got := resp.Header["Set-Cookie"]; len(got) != 1 || got[0] != "own=1" || !strings.HasSuffix(string(content), "content") {
				t.Errorf("%s, /%s: cookies %q with %q, want the claim's own and all content", transport, path, got, content)
			}
			told := <-logged
			for !strings.Contains(told, `level=WARN msg="answer not relayed whole"`) {
				told = <-logged
			}
			if !strings.Contains(told, "this cookie names a Domain") || !strings.Contains(told, "/headers/") || strings.Contains(told, "wide=1") {
				t.Errorf("%s, /%s: log %q, want which field and why, and no cookie", transport, path, told)
			}
		}
	}
}

func TestAPanicIsLoggedByTheDefaultLogger(t *testing.T) {
	var logged safeBuffer
	before, output, flags := slog.Default(), log.Writer(), log.Flags()
	t.Cleanup(func() {
		slog.SetDefault(before)
		log.SetOutput(output)
		log.SetFlags(flags)
	})
	slog.SetDefault(slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug})))
	l := lend(t, hostShape, gateway.Options{})
	panics := handle(func(http.ResponseWriter, *http.Request) { panic("out of paper") })
	for _, c := range []struct {
		logger *slog.Logger
		want   int
	}{{nil, 1}, {slog.New(slog.DiscardHandler), 0}} {
		logged.Reset()
		s := l.serve(t, panics, &reversehttp.Options{Logger: c.logger})
		resp, err := l.client(t).Get(s.URL())
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		got := logged.String()
		if strings.Count(got, `level=ERROR msg="handler panicked"`) != c.want || strings.Count(got, `panic="out of paper"`) != c.want {
			t.Errorf("log = %q, want %d panics in it", got, c.want)
		}
		if strings.Contains(got, "requests come by") {
			t.Errorf("log = %q, want nothing of what is in order", got)
		}
	}
}

// safeBuffer is a buffer for several goroutines.
type safeBuffer struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.b.Reset()
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
