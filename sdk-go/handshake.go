package reversehttp

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"

	"github.com/coder/websocket"
)

// linkProtocol is the subprotocol of links.
const linkProtocol = "reversehttp.1"

// connect asks the gateway for a link, by the client of the program: proxies, TLS, dialers and cookies are those of any request.
// A refusal is an *Error, and so is an answer that is no upgrade to a link.
func (g *gateway) connect(ctx context.Context, at *claimed, v *vigil) (*websocket.Conn, *socket, error) {
	client, free := upgrading(g.client)
	defer free()
	over, by := *client, &watched{by: client.Transport, vigil: v}
	over.Transport = by
	h := http.Header{"Authorization": {"Bearer " + at.Token}}
	if cursor := at.cursor.get(); cursor != "" {
		h["Last-Event-Id"] = []string{cursor}
	}
	conn, resp, err := websocket.Dial(ctx, at.Link, &websocket.DialOptions{
		HTTPClient: &over, HTTPHeader: h, Subprotocols: []string{linkProtocol},
	})
	switch {
	case err != nil && resp == nil:
		if of, ok := errors.AsType[*url.Error](err); ok {
			err = of // as that of any other call
		}
		return nil, nil, err
	case err != nil && resp.StatusCode == http.StatusSwitchingProtocols:
		return nil, nil, &Error{Status: resp.StatusCode, Code: codeUnexpected, Detail: err.Error()}
	case err != nil:
		content, _ := io.ReadAll(resp.Body) // as much of it as there is in memory
		return nil, nil, refusal(resp.StatusCode, resp.Header, content)
	case conn.Subprotocol() != linkProtocol:
		conn.CloseNow()
		return nil, nil, &Error{Status: resp.StatusCode, Code: codeUnexpected, Detail: "the WebSocket is no link"}
	}
	conn.SetReadLimit(answerMost)
	return conn, by.socket, nil
}

// watched makes the connection of an upgrade a socket.
type watched struct {
	by     http.RoundTripper // nil for the default
	vigil  *vigil
	socket *socket
}

func (w *watched) RoundTrip(r *http.Request) (*http.Response, error) {
	by := w.by
	if by == nil {
		by = http.DefaultTransport
	}
	resp, err := by.RoundTrip(r)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		return resp, err
	}
	if conn, ok := resp.Body.(io.ReadWriteCloser); ok {
		w.socket = newSocket(conn, w.vigil)
		resp.Body = w.socket
	}
	return resp, nil
}

// upgrading returns a client like c that speaks HTTP/1.1, for other versions upgrade no connection, and what closes its
// idle connections. A RoundTripper of another make is used as it is: it upgrades, or it fails.
func upgrading(c *http.Client) (*http.Client, func()) {
	given := c.Transport
	if given == nil {
		given = http.DefaultTransport
	}
	t, ok := given.(*http.Transport)
	if !ok {
		return c, func() {}
	}
	t = t.Clone()
	t.Protocols = new(http.Protocols)
	t.Protocols.SetHTTP1(true)
	t.ForceAttemptHTTP2, t.TLSNextProto = false, nil
	if t.TLSClientConfig != nil {
		// A transport that was used has put its own there.
		t.TLSClientConfig.NextProtos = slices.DeleteFunc(slices.Clone(t.TLSClientConfig.NextProtos), func(p string) bool { return p == "h2" })
	}
	clone := *c
	clone.Transport = t
	return &clone, t.CloseIdleConnections
}
