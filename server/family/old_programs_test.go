package family

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing/iotest"
	"unicode/utf8"

	"reversehttp/schema"
)

var errNoWord = errors.New("the protocol has no word for it")

// comets makes a program keep three polls of COMET with JSON.
func comets(w *town, h http.Handler) {
	client := w.client()
	w.runs(func(ctx context.Context, running *sync.WaitGroup) {
		for range 3 {
			running.Go(func() {
				said := []byte("{}")
				for ctx.Err() == nil {
					req, _ := http.NewRequestWithContext(ctx, "POST", w.Public().Control+"comet/demo", bytes.NewReader(said))
					req.Header.Set("Authorization", "Bearer t0")
					resp, err := client.Do(req)
					if err != nil {
						return
					}
					text, _ := io.ReadAll(resp.Body)
					resp.Body.Close()
					var e event
					if err := json.Unmarshal(text, &e); err != nil || resp.StatusCode != 200 {
						w.t.Errorf("event: status %d %.80q %v", resp.StatusCode, text, err)
						return
					}
					if said = []byte("{}"); e.ID != "" {
						said = respond(ctx, h, e)
					}
				}
			})
		}
	})
	waitFor(w.t, func() bool { return w.Registry().Stats().Polls == 3 })
}

// respond makes a handler respond to an event.
func respond(ctx context.Context, h http.Handler, e event) []byte {
	m := schema.Request{Method: e.Method, Target: e.Target, HTTPVersion: "1.1"}
	for _, f := range e.Fields {
		m.Headers = append(m.Headers, f)
	}
	r := requestOf(ctx, m)
	content := []byte(e.Body)
	if e.Base64 != "" {
		content, _ = base64.StdEncoding.DecodeString(e.Base64)
	}
	r.Body = io.NopCloser(bytes.NewReader(content))
	c := &inJSON{said: fields{"message-id": e.ID}}
	answer(c, h, r)
	text, err := json.Marshal(c.said)
	if err != nil {
		panic(err)
	}
	return text
}

// inJSON converts a response to JSON. A handler that fails becomes a 500, since the format has no other form
// for it.
type inJSON struct {
	said    fields
	content []byte
}

func (c *inJSON) inform(int, http.Header) error { return nil }

func (c *inJSON) whole(status int, h http.Header, content []byte, _ http.Header) error {
	_ = c.begin(status, h)
	return c.part(content, true, nil)
}

func (c *inJSON) begin(status int, h http.Header) error {
	c.said["status"], c.said["headers"] = status, textFields(h)
	return nil
}

func (c *inJSON) part(content []byte, last bool, _ http.Header) error {
	if c.content = append(c.content, content...); last && len(c.content) > 0 {
		if utf8.Valid(c.content) {
			c.said["body"] = string(c.content)
		} else {
			c.said["body-base64"] = base64.StdEncoding.EncodeToString(c.content)
		}
	}
	return nil
}

func (c *inJSON) fail() {
	c.said["status"], c.said["headers"] = http.StatusInternalServerError, []schema.Field{}
}

func (c *inJSON) upgrade(http.Header) (io.ReadWriteCloser, error) { return nil, errNoWord }

// reverses returns programs of ReverseHttp, which accept one form of messages.
func reverses(accept string) func(*town, http.Handler) {
	return func(w *town, h http.Handler) {
		p := &reversing{w: w, h: h, accept: accept, client: w.client()}
		resp, err := p.client.PostForm(w.Public().Control+"reversehttp", url.Values{"name": {"demo"}, "token": {"t0"}})
		if err != nil {
			w.t.Fatal(err)
		}
		resp.Body.Close()
		at := linked(resp, "first")
		w.runs(func(ctx context.Context, running *sync.WaitGroup) { p.run(ctx, running, at) })
		waitFor(w.t, func() bool { return w.Registry().Stats().Polls == 1 })
	}
}

// reversing is a program of ReverseHttp.
type reversing struct {
	w      *town
	h      http.Handler
	accept string
	client *http.Client
}

var link = regexp.MustCompile(`<([^>]*)>; rel="([a-z]+)"`)

// linked returns the URL that a response links to.
func linked(resp *http.Response, rel string) string {
	for _, m := range link.FindAllStringSubmatch(strings.Join(resp.Header["Link"], ", "), -1) {
		if m[2] == rel {
			return m[1]
		}
	}
	return ""
}

func (p *reversing) run(ctx context.Context, running *sync.WaitGroup, at string) {
	for ctx.Err() == nil {
		req, _ := http.NewRequestWithContext(ctx, "GET", at, nil)
		req.Header.Set("Accept", p.accept)
		resp, err := p.client.Do(req)
		if err != nil {
			return
		}
		if resp.StatusCode != 200 && resp.StatusCode != 204 {
			p.w.t.Errorf("poll: status %d", resp.StatusCode)
			return
		}
		from := at
		at = linked(resp, "next")
		if resp.StatusCode == 200 {
			running.Go(func() { p.serve(ctx, from, resp) })
		} else {
			resp.Body.Close()
		}
	}
}

// serve handles the requests of a response, one after the other, and replies in order.
func (p *reversing) serve(ctx context.Context, at string, polled *http.Response) {
	defer polled.Body.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	in, out := io.Pipe()
	posted := make(chan struct{})
	go func() {
		defer close(posted)
		defer cancel() // a client that got an early answer should stop
		req, _ := http.NewRequest("POST", at, in)
		req.Header.Set("Content-Type", polled.Header.Get("Content-Type"))
		resp, err := p.client.Do(req)
		_ = in.CloseWithError(errors.New("the reply is over"))
		if err == nil {
			resp.Body.Close()
		}
	}()
	from := bufio.NewReader(polled.Body)
	for {
		r, err := readMessage(from)
		if err != nil {
			break
		}
		m := &inMessage{to: out, method: r.Method}
		asked := r.WithContext(ctx)
		asked.Body = &ended{r.Body, func() { asked.Trailer = r.Trailer }}
		answer(m, p.h, asked)
		_, _ = io.Copy(io.Discard, r.Body)
		if m.failed {
			break
		}
	}
	_ = out.Close()
	<-posted
}

// ended is content that signals its end.
type ended struct {
	io.ReadCloser
	tell func()
}

func (c *ended) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	if err == io.EOF {
		c.tell()
	}
	return n, err
}

// readMessage reads a request like http.ReadRequest, whatever its target is.
func readMessage(from *bufio.Reader) (*http.Request, error) {
	line, err := from.ReadString('\n')
	if err != nil {
		return nil, err
	}
	method, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
	at := strings.LastIndex(rest, " ")
	head := strings.NewReader(method + " /" + rest[at:] + "\r\n")
	// Byte by byte, so that the bytes after the request are not consumed.
	r, err := http.ReadRequest(bufio.NewReader(io.MultiReader(head, iotest.OneByteReader(from))))
	if err == nil {
		r.RequestURI = rest[:at]
	}
	return r, err
}

// inMessage converts a response to an HTTP message. A handler that fails ends it prematurely.
type inMessage struct {
	to     io.Writer
	method string
	coded  io.WriteCloser
	failed bool
}

func (m *inMessage) head(status int, h http.Header, also string) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "HTTP/1.1 %d %s\r\n", status, http.StatusText(status))
	for name, values := range h {
		for _, v := range values {
			fmt.Fprintf(&b, "%s: %s\r\n", name, v)
		}
	}
	b.WriteString(also + "\r\n")
	_, err := m.to.Write(b.Bytes())
	return err
}

func (m *inMessage) inform(status int, h http.Header) error { return m.head(status, h, "") }

func (m *inMessage) whole(status int, h http.Header, content []byte, trailers http.Header) error {
	if len(trailers) > 0 {
		return errors.Join(m.begin(status, h), m.part(content, true, trailers))
	}
	length := ""
	if h.Get("Content-Length") == "" && status != http.StatusNoContent && status != http.StatusNotModified {
		length = fmt.Sprintf("Content-Length: %d\r\n", len(content))
	}
	if m.method == http.MethodHead {
		content = nil
	}
	err := m.head(status, h, length)
	if err == nil {
		_, err = m.to.Write(content)
	}
	return err
}

func (m *inMessage) begin(status int, h http.Header) error {
	m.coded = httputil.NewChunkedWriter(m.to)
	return m.head(status, h, "Transfer-Encoding: chunked\r\n")
}

func (m *inMessage) part(content []byte, last bool, trailers http.Header) error {
	if len(content) > 0 {
		if _, err := m.coded.Write(content); err != nil || !last {
			return err
		}
	}
	if !last {
		return nil
	}
	_ = m.coded.Close()
	var b bytes.Buffer
	_ = trailers.Write(&b)
	_, err := m.to.Write(append(b.Bytes(), "\r\n"...))
	return err
}

func (m *inMessage) fail() { m.failed = true }

func (m *inMessage) upgrade(http.Header) (io.ReadWriteCloser, error) { return nil, errNoWord }
