package kit

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"time"

	"reversehttp/schema"
	"reversehttp/schema/vectors"
	"reversehttp/schema/vectors/play"
)

// The client is a command. Both sides write lines of JSON: the kit to the client's standard input, the client
// to its standard output:
//
//	kit     {"gateway":"http://localhost:8080","label":"abcd"}           the first line
//	client  {"url":"http://abcd.localhost:8080/"}                        it claimed the label and serves it
//	client  {"n":1,"method":"GET","target":"/","headers":[…],"body":"…"} its handler was called
//	kit     {"n":1,"status":200,"headers":[…],"body":"…"}                what the handler must answer
//
// The kit closes standard input at the end, and the client exits.

// vectorField is the field that names the case of a request.
const vectorField = "Vector"

const (
	// startMost bounds the time until a client serves.
	startMost = 2 * time.Minute
	// endMost bounds how long a client takes to exit.
	endMost = 10 * time.Second
	// showMost bounds how long a client takes to show a request after its visitor got the answer.
	showMost = 10 * time.Second
	// mostLine bounds a line of a client, in bytes.
	mostLine = 64 << 20
)

// shown is a request as the handler of a client shows it. Members that its language does not show are absent,
// and not compared.
type shown struct {
	URL string `json:"url"`
	N   *int   `json:"n"`
	schema.Request
	members map[string]json.RawMessage
}

// client is a running client.
type client struct {
	command *exec.Cmd
	in      io.WriteCloser

	mu    sync.Mutex // guards the fields below, and writes to in
	seen  map[string]chan *shown
	fault error // why it shows no further requests
	ended chan struct{}
}

// judgeClient plays the exchanges against a client.
func (r *report) judgeClient(ctx context.Context, t *target, o options, stderr io.Writer) error {
	site := t.site(strings.ToLower(rand.Text()[:12]))
	c, err := startClient(ctx, o.Client, t.origin, site.Label, stderr)
	if err != nil {
		return fmt.Errorf("the client: %w", err)
	}
	var cases []played
	for _, e := range vectors.Exchanges() {
		p := played{name: e.File + "/" + e.Name, play: func(ctx context.Context) error { return c.exchange(ctx, site, e) }}
		if len(e.Via) > 0 && (o.As == "" || !e.In(o.As)) {
			p.skipped = "only some runtimes can express the case: give --as"
		}
		cases = append(cases, p)
	}
	r.play(ctx, "exchanges", cases)
	r.play(ctx, "the end", []played{{name: "end/exits", play: func(context.Context) error { return c.end() }}})
	return nil
}

// startClient starts a client, and returns once it serves a label.
func startClient(ctx context.Context, command []string, gateway, label string, stderr io.Writer) (*client, error) {
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Stderr, cmd.WaitDelay = stderr, endMost
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	c := &client{command: cmd, in: in, seen: map[string]chan *shown{}, ended: make(chan struct{})}
	serves := make(chan struct{})
	go c.read(out, sync.OnceFunc(func() { close(serves) }))
	late := time.NewTimer(startMost)
	defer late.Stop()
	err = c.write(map[string]string{"gateway": gateway, "label": label})
	if err == nil {
		select {
		case <-serves:
			return c, nil
		case <-c.ended:
			err = c.why()
		case <-late.C:
			err = fmt.Errorf("it did not say that it serves within %s", startMost)
		}
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	return nil, err
}

func (c *client) write(line any) error {
	text, err := json.Marshal(line)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	_, err = c.in.Write(append(text, '\n'))
	return err
}

// read reads the client's output to its end.
func (c *client) read(out io.Reader, serves func()) {
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, mostLine)
	for lines.Scan() {
		if !bytes.HasPrefix(lines.Bytes(), []byte("{")) {
			fmt.Fprintf(c.command.Stderr, "%s\n", lines.Bytes())
			continue
		}
		s, err := newShown(lines.Bytes())
		if err != nil {
			c.fail(err)
			return
		}
		if s.N == nil {
			serves()
			continue
		}
		c.of(s.vector()) <- s
	}
	err := lines.Err()
	if err == nil {
		err = errors.New("its output has ended")
	}
	c.fail(err)
}

func newShown(line []byte) (*shown, error) {
	s := &shown{}
	if err := json.Unmarshal(line, &s.members); err != nil {
		return nil, fmt.Errorf("a line is not an object of JSON: %.200q", line)
	}
	if err := json.Unmarshal(line, s); err != nil {
		return nil, fmt.Errorf("a line has a member of a wrong type (%w): %.200q", err, line)
	}
	s.Request.URL = s.URL
	return s, nil
}

// vector returns the name of the case of a request.
func (s *shown) vector() string {
	for _, f := range s.Headers {
		if f[0] == vectorField {
			return f[1]
		}
	}
	return ""
}

// of returns the channel for the requests of a case. It has room for one request too many.
func (c *client) of(name string) chan *shown {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.seen[name] == nil {
		c.seen[name] = make(chan *shown, 8)
	}
	return c.seen[name]
}

func (c *client) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fault = err
	close(c.ended)
}

func (c *client) why() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.fault
}

// exchange plays one case.
func (c *client) exchange(ctx context.Context, site *play.Site, e vectors.Exchange) error {
	name := e.File + "/" + e.Name
	requests := c.of(name)
	got := make(chan *play.Reply, 1)
	go func() { got <- site.Visit(ctx, e, schema.Field{vectorField, name}) }()
	s, err := c.called(ctx, requests, got)
	if err != nil {
		return err
	}
	answer := e.Answer().Envelope("")
	line := map[string]any{"n": *s.N, "status": answer.Status, "headers": append([]schema.Field{}, answer.Headers...)}
	if answer.Body != nil {
		line["body"] = *answer.Body
	}
	if answer.BodyBase64 != nil {
		line["bodyBase64"] = *answer.BodyBase64
	}
	if err := c.write(line); err != nil {
		return err
	}
	if d := s.diff(site.Secured(e.Request), site.Vars()); d != "" {
		<-got
		return fmt.Errorf("request: %s", d)
	}
	if d := (<-got).Diff(e.Received, site.Vars()); d != "" {
		return fmt.Errorf("received: %s", d)
	}
	select {
	case <-requests:
		return errors.New("the handler was called twice")
	default:
		return nil
	}
}

// called waits until the handler was called. A client that knows the answer may show the request after its
// visitor got the answer.
func (c *client) called(ctx context.Context, requests <-chan *shown, got chan *play.Reply) (*shown, error) {
	var reply *play.Reply
	answered, late := got, make(<-chan time.Time)
	for {
		select {
		case s := <-requests:
			if reply != nil {
				got <- reply
			}
			return s, nil
		case reply = <-answered:
			answered, late = nil, time.After(showMost)
			if reply.Err != nil {
				return nil, reply.Err
			}
		case <-late:
			return nil, fmt.Errorf("the visitor got %d, and the handler was not called: %.300s", reply.Status, reply.Content)
		case <-c.ended:
			return nil, c.why()
		case <-ctx.Done():
			return nil, errors.New("the handler was not called")
		}
	}
}

// diff returns how a request differs from a case in the members that the client shows; empty if it does not.
func (s *shown) diff(want vectors.Request, vars map[string]string) string {
	for name, member := range map[string]**string{
		"method": &want.Method, "target": &want.Target, "url": &want.URL, "base": &want.Base, "httpVersion": &want.HTTPVersion, "remoteAddr": &want.RemoteAddr,
	} {
		if s.members[name] == nil {
			*member = nil
		}
	}
	if s.members["attempt"] == nil {
		want.Attempt = nil
	}
	content := vectors.Content{Body: s.Body, BodyBase64: s.BodyBase64}.Bytes()
	if d := want.DiffContent(content); d != "" {
		return d
	}
	// The content is compared already; the rest is compared without it.
	want.Content, want.Fetched = vectors.Content{}, false
	got := s.Request
	got.Body, got.BodyBase64, got.BodyURL = nil, nil, ""
	return want.Diff(got, vars)
}

// end closes the client's input, after which it must exit.
func (c *client) end() error {
	c.mu.Lock()
	_ = c.in.Close()
	c.mu.Unlock()
	exited := make(chan error, 1)
	go func() {
		<-c.ended // Wait closes the output, so read must end first
		exited <- c.command.Wait()
	}()
	late := time.NewTimer(endMost)
	defer late.Stop()
	select {
	case err := <-exited:
		if err != nil {
			return fmt.Errorf("it exits with an error after its input has ended: %w", err)
		}
		return nil
	case <-late.C:
		_ = c.command.Process.Kill()
		<-exited
		return fmt.Errorf("it did not exit within %s after its input had ended", endMost)
	}
}
