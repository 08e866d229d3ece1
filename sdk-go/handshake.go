package reversehttp

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"

	"github.com/coder/websocket"
)

// linkProtocol is the subprotocol of links.
const linkProtocol = "reversehttp.1"

// connect asks the gateway for a link, by the client of the program: proxies, TLS, dialers and cookies are those of any request.
// A refusal is an *Error, and so is an answer that is no upgrade to a link. A transport of net/http gives an upgrade a connection
// of HTTP/1.1; a RoundTripper of another make upgrades, or it fails.
func (g *gateway) connect(ctx context.Context, at *claimed, v *vigil) (*websocket.Conn, *socket, error) {
	over, by := *g.client, &watched{by: g.client.Transport, vigil: v}
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
		content, _ := io.ReadAll(resp.Body) // as much as is in memory
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
