package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"reversehttp/schema"
	reversehttp "reversehttp/sdk-go"
	"reversehttp/sdk-go/cmd/reversehttp/recordings"
	"reversehttp/server/gateway"
)

// roundTrip is a transport given by a function.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// cutting ends a stream after the first change.
type cutting struct {
	io.ReadCloser
	seen bool
}

func (c *cutting) Read(p []byte) (int, error) {
	if c.seen {
		return 0, io.ErrUnexpectedEOF
	}
	n, err := c.ReadCloser.Read(p)
	c.seen = strings.Contains(string(p[:n]), `"ended"`)
	return n, err
}

func TestChangesArriveThroughEveryProxy(t *testing.T) {
	isStream := func(r *http.Request) bool { return r.Header.Get("Accept") == "application/x-ndjson" }
	for name, between := range map[string]func(http.RoundTripper, *http.Request) (*http.Response, error){
		"nothing": func(next http.RoundTripper, r *http.Request) (*http.Response, error) { return next.RoundTrip(r) },
		"what passes no stream": func(next http.RoundTripper, r *http.Request) (*http.Response, error) {
			if isStream(r) {
				r = r.Clone(r.Context())
				r.Header.Set("Accept", "application/json")
			}
			return next.RoundTrip(r)
		},
		"what cuts streams": func(next http.RoundTripper, r *http.Request) (*http.Response, error) {
			resp, err := next.RoundTrip(r)
			if err == nil && isStream(r) {
				resp.Body = &cutting{ReadCloser: resp.Body}
			}
			return resp, err
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := lend(t, hostShape, gateway.Options{})
			served := l.claim(t, "echo", "--label=watched", "--token=secret-of-watched")
			direct := l.visitor(t).Transport
			client := &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) { return between(direct, r) })}
			c, err := recordings.Find(t.Context(), client, l.origin, "watched", "secret-of-watched")
			if err != nil {
				t.Fatal(err)
			}
			list, err := c.List(t.Context(), recordings.Filter{})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan string, 100)
			var reading sync.WaitGroup
			reading.Go(func() {
				told := map[string]bool{}
				for change, err := range c.Changes(ctx, list.Change) {
					if err != nil {
						return
					}
					if x := change.Exchange; x != nil && x.Ended() && !told[x.ID] {
						told[x.ID] = true
						ended <- x.Target
					}
				}
			})
			for _, target := range []string{"/a", "/b", "/c"} {
				served.visit(l, "GET", target, "")
				if got := <-ended; got != target {
					t.Errorf("told of %s, want %s", got, target)
				}
			}
			cancel()
			reading.Wait()
		})
	}
}

func TestChangesEndWithTheClaim(t *testing.T) {
	l := lend(t, hostShape, gateway.Options{})
	served := l.claim(t, "echo", "--label=watched", "--token=secret-of-watched")
	served.visit(l, "GET", "/", "")
	c, err := recordings.Find(t.Context(), l.visitor(t), l.origin, "watched", "secret-of-watched")
	if err != nil {
		t.Fatal(err)
	}
	begun, ended := make(chan struct{}), make(chan error, 1)
	begin := sync.OnceFunc(func() { close(begun) })
	go func() {
		for change, err := range c.Changes(t.Context(), "") {
			if err != nil {
				ended <- err
				return
			}
			if change.Exchange != nil {
				begin()
			}
		}
	}()
	<-begun
	s, err := reversehttp.Claim(t.Context(), l.origin, &reversehttp.Options{Label: "watched", Token: "secret-of-watched"})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Delete(t.Context()); err != nil {
		t.Fatal(err)
	}
	var refused *reversehttp.Error
	if err := <-ended; !errors.As(err, &refused) || refused.Code != schema.CodeNoClaim && refused.Code != schema.CodeClaimDeleted {
		t.Errorf("ended with %v, want that there is no claim", err)
	}
}
