package main

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"os"

	reversehttp "reversehttp/sdk-go"
	"reversehttp/sdk-go/cmd/reversehttp/recordings"
)

// state shows the state, and notes when the gateway is online.
func (s *serving) state(state reversehttp.State) {
	s.view.state(state)
	if state == reversehttp.Online {
		select {
		case s.online <- struct{}{}:
		default:
		}
	}
}

// kept lets inspect, replay and mcp find the claim of a session, until the returned function is
// called.
func (s *serving) kept(session *reversehttp.Session) (forget func()) {
	forget, err := owned{s.Gateway, session.Label(), session.Token(), os.Getpid()}.keep()
	if err != nil {
		s.log.Warn("inspect will not find this by itself", "error", err)
	}
	return forget
}

// inspected turns recording off if flags say so, and otherwise shows people a link to the console,
// until the returned function is called.
func (s *serving) inspected(session *reversehttp.Session) (end func()) {
	_, people := s.view.(linking)
	claimedBefore := !s.Record && (s.Token != "" || s.place != nil) // recording may be on since an earlier start
	if session.Exchanges() == "" || !claimedBefore && (!s.Record || !people) {
		return func() {}
	}
	client := s.CA.client()
	ctx, cancel := context.WithCancel(context.Background())
	if claimedBefore {
		defer client.CloseIdleConnections()
		defer cancel()
		if err := s.unrecord(ctx, session, client); err != nil {
			s.log.Error("exchanges may still be recorded, as before", "error", err)
		}
		return func() {}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := s.link(ctx, session, client); err != nil && ctx.Err() == nil {
			s.log.Warn("there is no link to the console", "error", err)
		}
	}()
	return func() {
		cancel()
		<-done
		client.CloseIdleConnections()
	}
}

// unrecord turns recording off.
func (s *serving) unrecord(ctx context.Context, session *reversehttp.Session, client *http.Client) error {
	ctx, cancel := context.WithTimeout(ctx, claimTimeout)
	defer cancel()
	c, err := recordings.Find(ctx, client, s.Gateway, session.Label(), session.Token())
	if err != nil || !c.Inspect() {
		return err
	}
	return c.SetInspect(ctx, false)
}

// link shows people a link to the console, and a new one if a gateway that lost its claims
// invalidated the first.
func (s *serving) link(ctx context.Context, session *reversehttp.Session, client *http.Client) error {
	viewer := ""
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.online:
		}
		if viewer != "" {
			var refused *reversehttp.Error
			if _, err := recordings.Find(ctx, client, s.Gateway, session.Label(), viewer); !errors.As(err, &refused) {
				continue
			}
		}
		c, err := recordings.Find(ctx, client, s.Gateway, session.Label(), session.Token())
		if err == nil {
			viewer, err = c.MintViewer(ctx)
		}
		if err != nil {
			return err
		}
		s.view.(linking).console(consoleURL(s.Gateway, session.Label(), viewer))
	}
}

// consoleURL returns the URL of the console for a claim. The token is in the fragment, which
// browsers do not send.
func consoleURL(gateway, label, viewer string) string {
	at, err := url.Parse(gateway)
	if err != nil {
		return gateway
	}
	at = at.ResolveReference(&url.URL{Path: "/"})
	return at.String() + "#" + url.Values{"label": {label}, "viewer": {viewer}}.Encode()
}
