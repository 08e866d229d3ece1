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
	"net"
	"net/http"
	"strings"
	"sync"
	"unicode/utf8"

	"reversehttp/schema"
	"reversehttp/schema/envelope"
	"reversehttp/schema/vectors"
)

// runs runs a program until the test ends. Its context ends with the test.
func (w *town) runs(program func(ctx context.Context, running *sync.WaitGroup)) {
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	w.t.Cleanup(func() {
		stop()
		running.Wait()
	})
	running.Go(func() { program(ctx, &running) })
}

// client sends requests of a program.
func (w *town) client() *http.Client {
	t := &http.Transport{
		DisableCompression: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", w.address)
		},
	}
	w.t.Cleanup(t.CloseIdleConnections)
	return &http.Client{Transport: t}
}

// polls returns programs that poll in a form.
func polls(accept string) func(*town, http.Handler) {
	return func(w *town, h http.Handler) {
		p := &polled{w: w, h: h, accept: accept, client: w.client(), claim: w.claimed(), open: map[string]context.CancelFunc{}}
		w.runs(p.run)
		waitFor(w.t, func() bool { return w.Registry().Stats().Polls == 1 })
	}
}

// polled is a program of the control API.
type polled struct {
	w      *town
	h      http.Handler
	accept string
	client *http.Client
	claim  schema.ClaimAnswer

	mu   sync.Mutex // guards the fields below
	open map[string]context.CancelFunc
	link *linkEnd // nil without one
}

// claimed claims demo by the control API.
func (w *town) claimed() (c schema.ClaimAnswer) {
	w.t.Helper()
	resp, err := w.visitor().Post(w.Public().Control+"claims", "application/json", strings.NewReader(`{"label":"demo","token":"t0"}`))
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	if err = json.NewDecoder(resp.Body).Decode(&c); err != nil || resp.StatusCode != http.StatusCreated {
		w.t.Fatalf("claiming: status %d %v", resp.StatusCode, err)
	}
	return c
}

// call sends a request of the owner.
func (p *polled) call(ctx context.Context, method, url string, header http.Header, content io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, content)
	if err != nil {
		return nil, err
	}
	for name, values := range header {
		req.Header[name] = values
	}
	req.Header.Set("Authorization", "Bearer t0")
	return p.client.Do(req)
}

// run polls until ctx ends.
func (p *polled) run(ctx context.Context, running *sync.WaitGroup) {
	cursor := p.claim.Cursor
	for ctx.Err() == nil {
		resp, err := p.call(ctx, "GET", p.claim.Requests, http.Header{"Accept": {p.accept}, "Last-Event-Id": {cursor}}, nil)
		if err != nil {
			break
		}
		in := bufio.NewReader(resp.Body)
		switch {
		case resp.StatusCode == http.StatusNoContent:
		case resp.StatusCode != http.StatusOK:
			p.w.t.Errorf("poll: status %d", resp.StatusCode)
			return
		case p.accept == "application/json":
			var b schema.Batch
			if err = json.NewDecoder(in).Decode(&b); err == nil {
				for _, m := range b.Messages {
					p.take(ctx, running, m)
				}
				cursor = b.Cursor
			}
		case p.accept == envelope.MediaFramed:
			for err == nil {
				var m []byte
				if m, err = vectors.Unframe(in); err == nil {
					cursor = p.take(ctx, running, m)
				}
			}
		default:
			for err == nil {
				var line []byte
				line, err = in.ReadBytes('\n')
				line, _ = bytes.CutPrefix(line, []byte("data: "))
				if bytes.HasPrefix(line, []byte("{")) {
					cursor = p.take(ctx, running, line)
				}
			}
		}
		_ = resp.Body.Close()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, cancel := range p.open {
		cancel()
	}
}

// take handles a message, and returns its cursor.
func (p *polled) take(ctx context.Context, running *sync.WaitGroup, text []byte) string {
	var m schema.Request
	if err := json.Unmarshal(text, &m); err != nil {
		p.w.t.Errorf("message %.80q: %v", text, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if m.Type == schema.TypeCancel {
		if cancel := p.open[m.ID]; cancel != nil {
			cancel()
		}
		return m.Cursor
	}
	ctx, cancel := context.WithCancel(ctx)
	p.open[m.ID] = cancel
	running.Go(func() {
		defer func() {
			cancel()
			p.mu.Lock()
			defer p.mu.Unlock()
			delete(p.open, m.ID)
		}()
		r := requestOf(ctx, m)
		r.Body = &fetched{p: p, r: r, m: m}
		defer r.Body.Close()
		answer(&byMessages{p: p, m: m, content: r.Body}, p.h, r)
	})
	return m.Cursor
}

// fetched is the content of a request, which is fetched when it is read.
type fetched struct {
	p *polled
	r *http.Request
	m schema.Request
	io.ReadCloser
	resp *http.Response
}

func (f *fetched) Read(b []byte) (int, error) {
	if f.ReadCloser == nil {
		var content []byte
		switch {
		case f.m.Body != nil:
			content = []byte(*f.m.Body)
		case f.m.BodyBase64 != nil:
			content, _ = base64.StdEncoding.DecodeString(*f.m.BodyBase64)
		case f.m.BodyURL != "":
			resp, err := f.p.call(f.r.Context(), "GET", f.m.BodyURL, nil, nil)
			if err != nil {
				return 0, err
			}
			if resp.StatusCode != http.StatusOK {
				resp.Body.Close()
				return 0, fmt.Errorf("content: status %d", resp.StatusCode)
			}
			f.ReadCloser, f.resp = resp.Body, resp
		}
		if f.ReadCloser == nil {
			f.ReadCloser = io.NopCloser(bytes.NewReader(content))
		}
	}
	n, err := f.ReadCloser.Read(b)
	if err == io.EOF && f.resp != nil {
		f.r.Trailer = f.resp.Trailer
	}
	return n, err
}

func (f *fetched) Close() error {
	if f.ReadCloser == nil {
		return nil
	}
	return f.ReadCloser.Close()
}

// byMessages sends an answer in messages.
type byMessages struct {
	p       *polled
	m       schema.Request
	content io.ReadCloser
	seq     int
}

type fields = map[string]any

func (a *byMessages) post(m fields) error {
	m["id"] = a.m.ID
	b, err := json.Marshal(m)
	if err != nil {
		return err
	}
	form := "application/json"
	if a.p.accept == envelope.MediaFramed {
		form, b = envelope.MediaFramed, vectors.Frame(b)
	}
	a.p.mu.Lock()
	link := a.p.link
	a.p.mu.Unlock()
	if link != nil && len(b) <= most {
		if r, err := link.answer(a.m.ID, b); err == nil {
			return taken(r)
		}
	}
	resp, err := a.p.call(context.Background(), "POST", a.p.claim.Responses, http.Header{"Content-Type": {form}}, bytes.NewReader(b))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	var r schema.Results
	if err = json.NewDecoder(resp.Body).Decode(&r); err != nil || len(r.Results) != 1 {
		return fmt.Errorf("answer: status %d %v", resp.StatusCode, err)
	}
	if link != nil && r.Results[0].Status == schema.ResultDuplicate {
		return nil // the link sent it, and ended
	}
	return taken(r.Results[0])
}

// taken returns why an answer was not accepted.
func taken(got schema.Result) error {
	switch got.Status {
	case schema.ResultAccepted, schema.ResultLate:
		return nil
	default:
		return fmt.Errorf("answer: %s %s", got.Status, got.Detail)
	}
}

func withContent(m fields, content []byte) fields {
	switch {
	case len(content) == 0:
	case utf8.Valid(content):
		m["body"] = string(content)
	default:
		m["bodyBase64"] = base64.StdEncoding.EncodeToString(content)
	}
	return m
}

func (a *byMessages) inform(status int, h http.Header) error {
	return a.post(fields{"type": "interim", "status": status, "headers": textFields(h)})
}

func (a *byMessages) whole(status int, h http.Header, content []byte, trailers http.Header) error {
	if len(trailers) == 0 {
		return a.post(withContent(fields{"type": "response", "status": status, "headers": textFields(h)}, content))
	}
	if err := a.begin(status, h); err != nil {
		return err
	}
	return a.part(content, true, trailers)
}

func (a *byMessages) begin(status int, h http.Header) error {
	return a.post(fields{"type": "response", "status": status, "headers": textFields(h), "more": true})
}

// part posts as many parts as the content needs.
func (a *byMessages) part(content []byte, last bool, trailers http.Header) error {
	most := a.p.claim.Limits.PartBytes
	for len(content) > most {
		if err := a.part(content[:most], false, nil); err != nil {
			return err
		}
		content = content[most:]
	}
	a.seq++
	m := withContent(fields{"type": "part", "seq": a.seq}, content)
	if !last {
		m["more"] = true
	} else if len(trailers) > 0 {
		m["trailers"] = textFields(trailers)
	}
	return a.post(m)
}

func (a *byMessages) fail() { _ = a.post(fields{"type": "abort", "reason": "failed"}) }

func (a *byMessages) upgrade(h http.Header) (io.ReadWriteCloser, error) {
	return &upgraded{a}, a.begin(http.StatusSwitchingProtocols, h)
}

// upgraded is the bytes after an upgrade.
type upgraded struct{ *byMessages }

func (u *upgraded) Read(p []byte) (int, error) { return u.content.Read(p) }

func (u *upgraded) Write(p []byte) (int, error) { return len(p), u.part(p, false, nil) }

func (u *upgraded) Close() error { return errors.Join(u.part(nil, true, nil), u.content.Close()) }
