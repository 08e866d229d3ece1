package family

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"slices"
	"time"

	"reversehttp/schema/vectors"
)

// guest is a visitor's connection.
type guest struct {
	net.Conn
	in      *bufio.Reader
	method  string
	streams bool
	got     *http.Response
}

// ask sends the head, and the content unless that streams.
func (g *guest) ask(name, host string, a *vectors.Ask) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\n%s: %s\r\n", a.Method, a.Target, host, nameField, name)
	for _, f := range a.Headers {
		fmt.Fprintf(&b, "%s: %s\r\n", f[0], bytesOf(f[1]))
	}
	content := a.Content.Bytes()
	g.streams = a.Streams
	switch {
	case a.Streams:
		b.WriteString("Transfer-Encoding: chunked\r\n")
	case len(content) > 0 || slices.Contains([]string{"POST", "PUT"}, a.Method):
		fmt.Fprintf(&b, "Content-Length: %d\r\n", len(content))
	}
	b.WriteString("\r\n")
	b.Write(content)
	_, err := g.Write(b.Bytes())
	return err
}

// send sends streaming content, or bytes after an upgrade.
func (g *guest) send(c *vectors.Bytes) error {
	content := c.Bytes()
	if !g.streams {
		_, err := g.Write(content)
		return err
	}
	var b bytes.Buffer
	if len(content) > 0 {
		w := httputil.NewChunkedWriter(&b)
		_, _ = w.Write(content)
	}
	if c.Ends {
		b.WriteString("0\r\n")
		for _, f := range c.Trailers {
			fmt.Fprintf(&b, "%s: %s\r\n", f[0], f[1])
		}
		b.WriteString("\r\n")
	}
	_, err := g.Write(b.Bytes())
	return err
}

// get reads a head, and the content unless that comes later.
func (g *guest) get(want *vectors.Gets) error {
	_ = g.SetReadDeadline(time.Now().Add(patience))
	resp, err := http.ReadResponse(g.in, &http.Request{Method: g.method})
	if err != nil {
		return err
	}
	g.got = resp
	if resp.StatusCode != want.Status {
		content, _ := io.ReadAll(resp.Body)
		return fmt.Errorf("status %d %.200q, want %d", resp.StatusCode, content, want.Status)
	}
	h := resp.Header.Clone()
	if len(resp.TransferEncoding) > 0 {
		h["Transfer-Encoding"] = resp.TransferEncoding
	}
	if err := diffFields(want.Headers, want.Absent, h); err != nil || want.More {
		return err
	}
	return take(resp.Body, &vectors.Bytes{Content: want.Content, Ends: true, Trailers: want.Trailers}, func() http.Header { return resp.Trailer })
}

// bytesOf converts each character of a string, up to U+00FF, to the byte of its number.
func bytesOf(s string) string {
	b := make([]byte, 0, len(s))
	for _, c := range s {
		b = append(b, byte(c))
	}
	return string(b)
}
