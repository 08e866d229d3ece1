package reversehttp

import (
	"context"
	"io"
	"net/http"
	"slices"
	"strings"
)

var errNoUpgrade = &Error{Code: codeUnexpected, Detail: "the answer is no upgrade to a tunnel"}

// dial asks the gateway to upgrade a connection, by the client of the program: proxies, TLS, dialers and cookies are those
// of any request.
func (g *gateway) dial(ctx context.Context, at *claimed) (io.ReadWriteCloser, error) {
	client, free := upgrading(g.client)
	defer free()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at.Tunnel, nil)
	if err != nil {
		return nil, err
	}
	h := req.Header
	h["Connection"], h["Upgrade"] = []string{"Upgrade"}, []string{"ptth"}
	h["ALPN"] = []string{"h2"} // RFC 7639
	h["Authorization"] = []string{"Bearer " + at.Token}
	if cursor := at.cursor.get(); cursor != "" {
		h["Last-Event-Id"] = []string{cursor}
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		defer resp.Body.Close()
		if _, err := answerOf(resp); err != nil {
			return nil, err
		}
		return nil, errNoUpgrade
	}
	conn, ok := resp.Body.(io.ReadWriteCloser)
	alpn := resp.Header.Get("ALPN")
	if !ok || !strings.EqualFold(resp.Header.Get("Upgrade"), "ptth") || alpn != "" && alpn != "h2" {
		resp.Body.Close()
		return nil, errNoUpgrade
	}
	return conn, nil
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
