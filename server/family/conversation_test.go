package family

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"reversehttp/schema"
	"reversehttp/schema/vectors"
	"reversehttp/server/gateway"
)

// patience is how long a step may take.
const patience = 5 * time.Minute

// converse runs a case through a door.
func converse(t *testing.T, door string, c vectors.Talk) {
	s := &stage{t: t, w: newTown(t, gateway.Options{}), guests: map[string]*guest{}, parts: map[string]*part{}, over: make(chan struct{})}
	programs[door](s.w, s)
	t.Cleanup(func() { close(s.over) }) // before the program ends
	for i, m := range c.Through(door) {
		if err := s.move(m); err != nil {
			t.Fatalf("step %d of %s: %v", i, s.name(m), err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.parts {
		if p.times > 1 {
			t.Errorf("the handler had a request %d times", p.times)
		}
	}
}

// stage is where visitors and one handler converse.
type stage struct {
	t      *testing.T
	w      *town
	guests map[string]*guest
	over   chan struct{}

	mu        sync.Mutex // guards what follows
	parts     map[string]*part
	now, most int // handlers at work
}

// part is the handler's part in an exchange. The stage directs it.
type part struct {
	w      http.ResponseWriter
	r      *http.Request
	times  int
	here   chan struct{}
	acts   chan func() bool // false ends the handler
	stream io.ReadWriteCloser
	// reading means that the handler has read part of the content.
	reading bool
}

// nameField names an exchange.
const nameField = "Conversation"

func (s *stage) name(m vectors.Move) string {
	if m.Of == "" {
		return "a"
	}
	return m.Of
}

// part returns the part in an exchange, whether or not the request has arrived.
func (s *stage) part(name string) *part {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.parts[name] == nil {
		s.parts[name] = &part{here: make(chan struct{}), acts: make(chan func() bool)}
	}
	return s.parts[name]
}

func (s *stage) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p := s.part(r.Header.Get(nameField))
	s.mu.Lock()
	p.times++
	again := p.times > 1
	s.now++
	s.most = max(s.most, s.now)
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.now--
	}()
	if again {
		panic(http.ErrAbortHandler)
	}
	p.w, p.r = w, r
	close(p.here)
	for {
		select {
		case act := <-p.acts:
			if !act() {
				return
			}
		case <-s.over:
			if p.stream != nil {
				_ = p.stream.Close()
			}
			panic(http.ErrAbortHandler)
		}
	}
}

// act makes the handler do something.
func (s *stage) act(name string, do func(p *part) (goesOn bool, err error)) error {
	p, done := s.part(name), make(chan error, 1)
	late := time.After(patience)
	select {
	case <-p.here:
	case <-late:
		return errors.New("the handler has no request")
	}
	select {
	case p.acts <- func() bool {
		goesOn, err := do(p)
		done <- err
		if err == errFails {
			panic(http.ErrAbortHandler)
		}
		return goesOn
	}:
	case <-late:
		return errors.New("the handler is not to be talked to")
	}
	select {
	case err := <-done:
		if err == errFails {
			return nil
		}
		return err
	case <-late:
		return errors.New("the handler does not come to an end")
	}
}

var errFails = errors.New("the handler fails")

// move performs a step.
func (s *stage) move(m vectors.Move) error {
	name := s.name(m)
	g := s.guests[name]
	switch {
	case m.Ask != nil:
		// A program that lost its connection must be back.
		waitFor(s.t, func() bool { return s.w.Registry().Stats().Polls > 0 })
		g = &guest{Conn: s.w.dial(), method: m.Ask.Method}
		g.in = bufio.NewReader(g.Conn)
		s.guests[name] = g
		_ = g.SetDeadline(time.Now().Add(patience))
		return g.ask(name, s.w.authority(), m.Ask)
	case m.Sends != nil:
		return g.send(m.Sends)
	case m.Leaves:
		return g.Close()
	case m.Gets != nil:
		return g.get(m.Gets)
	case m.Takes != nil:
		_ = g.SetReadDeadline(time.Now().Add(patience))
		var from io.Reader = g.in
		if g.got.StatusCode != http.StatusSwitchingProtocols {
			from = g.got.Body
		}
		return take(from, m.Takes, func() http.Header { return g.got.Trailer })
	case m.Open != nil:
		waitFor(s.t, func() bool { return s.w.Registry().Stats().Exchanges == *m.Open && s.w.placed() == *m.Open })
		return nil
	case m.Most != nil:
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.most != *m.Most {
			return fmt.Errorf("%d requests were with the handler at once, want %d", s.most, *m.Most)
		}
		return nil
	}
	return s.act(name, func(p *part) (bool, error) { return p.move(m) })
}

// placed counts the exchanges of demo in the queue or with a session. One whose request is still arriving has
// no place, and may be overtaken.
func (w *town) placed() int {
	c := w.Registry().Lookup("demo")
	if c == nil {
		return 0
	}
	state := c.State()
	n := state.Queue
	for _, s := range state.Sessions {
		n += s.Held
	}
	return n
}

// move performs a step of the handler.
func (p *part) move(m vectors.Move) (goesOn bool, err error) {
	switch {
	case m.Handed != nil:
		return true, p.handed(m.Handed)
	case m.Reads != nil:
		var from io.Reader = p.r.Body
		if p.stream != nil {
			from = p.stream
		}
		p.reading = !m.Reads.Ends && !m.Reads.Cut
		return true, take(from, m.Reads, func() http.Header { return p.r.Trailer })
	case m.Informs != nil:
		setFields(p.w.Header(), m.Informs.Headers)
		p.w.WriteHeader(m.Informs.Status)
		for _, f := range m.Informs.Headers {
			delete(p.w.Header(), f[0])
		}
		return true, nil
	case m.Answers != nil:
		p.w.Header()["Content-Type"] = nil // otherwise net/http guesses
		setFields(p.w.Header(), m.Answers.Headers)
		if p.reading { // otherwise net/http reads the rest of the content first
			_ = http.NewResponseController(p.w).EnableFullDuplex()
		}
		p.w.WriteHeader(m.Answers.Status)
		return p.write(m.Answers.Content.Bytes(), m.Answers.More, m.Answers.Trailers)
	case m.Writes != nil:
		return p.write(m.Writes.Content.Bytes(), !m.Writes.Ends, m.Writes.Trailers)
	case m.Upgrades != nil:
		p.stream, err = upgrade(p.w, p.r, m.Upgrades.Headers)
		return true, err
	case m.Fails:
		return false, errFails
	case m.Gone:
		select {
		case <-p.r.Context().Done():
			return true, nil
		case <-time.After(patience):
			return true, errors.New("the context of the handler does not end")
		}
	}
	return true, errors.New("a step that does nothing")
}

func (p *part) handed(want *vectors.Head) error {
	switch {
	case want.Method != "" && p.r.Method != want.Method:
		return fmt.Errorf("method %s, want %s", p.r.Method, want.Method)
	case want.Target != "" && p.r.RequestURI != want.Target:
		return fmt.Errorf("target %s, want %s", p.r.RequestURI, want.Target)
	}
	return diffFields(want.Headers, want.Absent, p.r.Header)
}

// write writes content, and ends the answer unless more follows.
func (p *part) write(content []byte, more bool, trailers []schema.Field) (goesOn bool, err error) {
	if p.stream != nil {
		if _, err = p.stream.Write(content); err == nil && !more {
			err = p.stream.Close()
		}
		return more, err
	}
	for _, f := range trailers {
		p.w.Header().Add(http.TrailerPrefix+f[0], f[1])
	}
	if len(content) > 0 {
		_, err = p.w.Write(content)
	}
	if err == nil && more {
		err = http.NewResponseController(p.w).Flush()
	}
	return more, err
}

// setFields sets fields under their exact names.
func setFields(h http.Header, fields []schema.Field) {
	for _, f := range fields {
		delete(h, f[0])
	}
	for _, f := range fields {
		h[f[0]] = append(h[f[0]], bytesOf(f[1]))
	}
}

// upgrader is implemented by writers whose connection cannot be hijacked.
type upgrader interface {
	upgrade(fields []schema.Field) (io.ReadWriteCloser, error)
}

// upgrade answers 101, and returns the bytes after it.
func upgrade(w http.ResponseWriter, r *http.Request, fields []schema.Field) (io.ReadWriteCloser, error) {
	if u, ok := w.(upgrader); ok {
		return u.upgrade(fields)
	}
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil, err
	}
	head := "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: " + r.Header.Get("Upgrade") + "\r\n"
	for _, f := range fields {
		head += f[0] + ": " + f[1] + "\r\n"
	}
	_, err = io.WriteString(conn, head+"\r\n")
	return &buffered{conn, rw.Reader}, err
}

// take reads the expected content, and its end if that is expected.
func take(from io.Reader, want *vectors.Bytes, trailers func() http.Header) error {
	content := want.Bytes()
	got := make([]byte, len(content))
	n, err := io.ReadFull(from, got)
	if err != nil || !bytes.Equal(got, content) {
		return fmt.Errorf("content %d bytes %.80q %v, want %d bytes %.80q", n, got[:n], err, len(content), content)
	}
	if !want.Ends && !want.Cut {
		return nil
	}
	rest, err := io.ReadAll(from)
	switch {
	case len(rest) > 0:
		return fmt.Errorf("more content %.80q", rest)
	case want.Ends && err != nil:
		return fmt.Errorf("the content ends with %w, want a clean end", err)
	case want.Cut && (err == nil || errors.Is(err, os.ErrDeadlineExceeded)):
		return fmt.Errorf("the content ends with %v, want it cut", err)
	}
	if got := textFields(trailers()); len(want.Trailers) == 0 && len(got) > 0 {
		return fmt.Errorf("trailers %q, want none", got)
	}
	return diffFields(want.Trailers, nil, trailers())
}

func diffFields(want []schema.Field, absent []string, got http.Header) error {
	if d := vectors.DiffFields(want, absent, textFields(got), nil); d != "" {
		return errors.New(d)
	}
	return nil
}

// textFields lists fields, each byte as the character of its number.
func textFields(h http.Header) (fields []schema.Field) {
	for name, values := range h {
		for _, v := range values {
			fields = append(fields, schema.Field{name, characters(v)})
		}
	}
	return fields
}

// characters converts each byte to the character of its number, as in envelopes.
func characters(s string) string {
	runes := make([]rune, len(s))
	for i := range len(s) {
		runes[i] = rune(s[i])
	}
	return string(runes)
}

// authority is that of the public URL of demo.
func (w *town) authority() string {
	return strings.TrimSuffix(strings.TrimPrefix(w.Public().Base("demo"), "http://"), "/")
}
