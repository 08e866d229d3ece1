package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	reversehttp "reversehttp/sdk-go"
)

const (
	// The most labels that an agent may claim.
	servedMost = 16
	// The most content of an answer that an agent sets, in bytes.
	givenMost = 1 << 20
)

// served is a label that an agent claimed, with its canned answer.
type served struct {
	session *reversehttp.Session
	answer  atomic.Pointer[claimInput]
	forget  func() // removes the file for inspect
	place   *remembered
	done    chan struct{}
}

// ServeHTTP writes the canned answer.
func (s *served) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	a := s.answer.Load()
	if a.Body != "" {
		w.Header().Set("Content-Type", a.ContentType)
	}
	w.WriteHeader(a.Status)
	_, _ = w.Write([]byte(a.Body))
}

type claimInput struct {
	Label       string `json:"label,omitempty" jsonschema:"the DNS label wanted: lower case letters, digits and hyphens; absent: the gateway picks one"`
	Status      int    `json:"status,omitempty" jsonschema:"status of the answers, 200 to 599; absent: 200"`
	Body        string `json:"body,omitempty" jsonschema:"content of the answers; absent: none"`
	ContentType string `json:"contentType,omitempty" jsonschema:"Content-Type of the answers; absent: text/plain; charset=utf-8"`
}

type claimOutput struct {
	Label string `json:"label"`
	URL   string `json:"url"`
	// Changed says that the label was claimed here before.
	Changed bool `json:"changed,omitempty"`
}

// check returns an error for invalid input, and sets defaults.
func (in *claimInput) check() error {
	if in.Status == 0 {
		in.Status = http.StatusOK
	}
	if in.ContentType == "" {
		in.ContentType = "text/plain; charset=utf-8"
	}
	switch {
	case in.Status < 200 || in.Status > 599:
		return fmt.Errorf("status %d: give one from 200 to 599", in.Status)
	case in.Body != "" && (in.Status == 204 || in.Status == 205 || in.Status == 304):
		return fmt.Errorf("an answer with status %d has no content: leave body out", in.Status)
	case len(in.Body) > givenMost:
		return fmt.Errorf("body has %d bytes: give %d at most", len(in.Body), givenMost)
	case strings.ContainsAny(in.ContentType, "\r\n\x00"):
		return fmt.Errorf("contentType: give one line")
	}
	return nil
}

func (t *tools) claim(ctx context.Context, _ *mcp.CallToolRequest, in claimInput) (*mcp.CallToolResult, any, error) {
	if err := in.check(); err != nil {
		return nil, nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock() // serialises claims, since the next may be for the same label
	if s := t.served[in.Label]; s != nil && s.session.State() != reversehttp.Closed {
		s.answer.Store(&in)
		return nil, claimOutput{s.session.Label(), s.session.URL(), true}, nil
	}
	switch {
	case t.ended:
		return nil, nil, context.Canceled
	case len(t.served) >= servedMost:
		return nil, nil, fmt.Errorf("%d labels are claimed here, which is the most: use one of them", servedMost)
	}
	token := ""
	if in.Label == t.Label && in.Label != "" {
		token = t.Token // the given token is for that label
	}
	if s := t.served[in.Label]; s != nil {
		s.place.release() // it ended
	}
	note := func(text string) { t.logger.Warn(text) }
	place, err := t.recall(in.Label, "mcp", note)
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, claimTimeout)
	defer cancel()
	client := t.CA.client()
	session, err := place.claim(ctx, t.Gateway, reversehttp.Options{
		Client: client, Label: in.Label, Token: token, Key: t.Key, Lease: t.Lease, Timeout: t.Timeout, Transport: reversehttp.Transport(t.Transport),
		Inspect: true, Logger: t.logger,
	}, note)
	if err != nil {
		client.CloseIdleConnections()
		place.release()
		return nil, nil, refused(t.Gateway, in.Label, err)
	}
	s := &served{session: session, place: place, done: make(chan struct{})}
	s.answer.Store(&in)
	if s.forget, err = (owned{t.Gateway, session.Label(), session.Token(), os.Getpid()}).keep(); err != nil {
		t.logger.Warn("inspect will not find this by itself", "error", err)
	}
	if before := t.served[session.Label()]; before != nil {
		before.forget() // it ended
	}
	t.served[session.Label()] = s
	go func() {
		defer close(s.done)
		defer client.CloseIdleConnections()
		_ = session.Serve(s) // the end shows in the state and in the gateway's state of the claim
	}()
	return nil, claimOutput{Label: session.Label(), URL: session.URL()}, nil
}

// mine returns the claim of a label made here, or, if label is empty, the only claim made here.
func (t *tools) mine(label string) *served {
	t.mu.Lock()
	defer t.mu.Unlock()
	if label == "" && len(t.served) == 1 {
		for _, s := range t.served {
			return s
		}
	}
	return t.served[label]
}

// end gives up the labels claimed here, except those whose token was given or is remembered.
func (t *tools) end() {
	t.mu.Lock()
	all := t.served
	t.served, t.ended = nil, true
	t.mu.Unlock()
	var ending sync.WaitGroup
	for label, s := range all {
		ending.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), deleteTimeout)
			defer cancel()
			_ = s.session.Shutdown(ctx)
			if (t.Token == "" || label != t.Label) && !s.place.keeps() {
				_ = s.session.Delete(ctx)
			}
			<-s.done
			s.forget()
			s.place.release()
		})
	}
	ending.Wait()
}
