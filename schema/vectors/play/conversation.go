package play

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/coder/websocket"

	"reversehttp/schema"
	"reversehttp/schema/vectors"
)

// Converse plays a case of conversation.json. The error names the first step whose result differs from the
// case.
func (s *Site) Converse(ctx context.Context, c vectors.Conversation) error {
	k := &talk{site: s, vars: map[string]string{}, calls: map[string]*call{}, visitors: map[string]*visitor{}, links: map[string]*link{}}
	defer k.giveUp(ctx)
	defer k.end()
	for i, step := range c.Steps {
		if err := k.step(ctx, step); err != nil {
			return fmt.Errorf("step %d: %w", i, err)
		}
		s.Settle()
	}
	return nil
}

// talk is a conversation with a gateway.
type talk struct {
	site     *Site
	vars     map[string]string
	calls    map[string]*call
	visitors map[string]*visitor
	links    map[string]*link
	claims   []schema.ClaimAnswer // that the conversation made
}

// call is a program's request that waits for its answer.
type call struct {
	got  *Reply
	done chan struct{}
	stop context.CancelFunc
}

// begin sends a program's request without waiting for the answer.
func (k *talk) begin(ctx context.Context, r vectors.Send) (*call, error) {
	req, err := r.Request(k.site.Origin, k.vars)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(ctx)
	c := &call{done: make(chan struct{}), stop: stop}
	go func() {
		defer close(c.done)
		defer stop()
		c.got = newReply(k.site.client().Do(req.WithContext(ctx)))
	}()
	return c, nil
}

// end closes all connections, and waits until nothing runs.
func (k *talk) end() {
	for _, c := range k.calls {
		c.stop()
		<-c.done
	}
	for _, v := range k.visitors {
		_ = v.conn.Close()
		if v.taking {
			<-v.done
		}
	}
	for _, l := range k.links {
		if l != nil {
			l.close()
		}
	}
}

// giveUp deletes the claims that the conversation made but did not delete.
func (k *talk) giveUp(ctx context.Context) {
	for _, c := range k.claims {
		k.site.send(ctx, vectors.Send{Method: http.MethodDelete, URL: c.Claim, As: c.Token})
	}
}

func (k *talk) step(ctx context.Context, s vectors.Step) error {
	switch {
	case s.Send != nil:
		c, err := k.begin(ctx, *s.Send)
		if err != nil {
			return err
		}
		<-c.done
		var made schema.ClaimAnswer
		if c.got.into(&made, http.StatusCreated) == nil && made.Claim != "" {
			k.claims = append(k.claims, made)
		}
		return k.check(s, c.got)
	case s.Open != nil:
		c, err := k.begin(ctx, *s.Open)
		if err == nil {
			k.calls[s.Name] = c
		}
		return err
	case s.Visit != nil:
		v, err := k.site.visit(ctx, s.Visit.Label, s.Visit.Bytes(k.site.host(s.Visit.Label), k.vars))
		if err != nil {
			return err
		}
		k.visitors[s.Name] = v
		if !s.Visit.Holds {
			v.receive()
		}
	case s.Link != nil:
		return k.open(ctx, s)
	case s.On != "":
		return k.onLink(ctx, s)
	case s.Leave != "":
		return k.leave(s.Leave)
	case s.Await != "":
		got, err := k.await(ctx, s.Await)
		if err != nil {
			return err
		}
		return k.check(s, got)
	case s.Pending != "":
		return k.pending(s.Pending)
	case s.SleepMs > 0:
		k.site.Sleep(time.Duration(s.SleepMs) * time.Millisecond)
	case s.Drain:
		k.site.Drain()
	default:
		return errors.New("it does nothing")
	}
	return nil
}

func (k *talk) leave(name string) error {
	if c := k.calls[name]; c != nil {
		c.stop()
	} else if l := k.links[name]; l != nil {
		_ = l.conn.CloseNow()
	} else if v := k.visitors[name]; v != nil {
		_ = v.conn.Close()
	} else {
		return fmt.Errorf("there is no %s", name)
	}
	return nil
}

func (k *talk) pending(name string) error {
	if l := k.links[name]; l != nil {
		if left := l.left(); left != nil {
			return fmt.Errorf("on %s there is %s", name, left)
		}
		return nil
	}
	done := k.calls[name].over()
	if done == nil {
		done = k.visitors[name].done
	}
	select {
	case <-done:
		return fmt.Errorf("%s is answered", name)
	default:
		return nil
	}
}

func (c *call) over() <-chan struct{} {
	if c == nil {
		return nil
	}
	return c.done
}

func (k *talk) await(ctx context.Context, name string) (*Reply, error) {
	done := k.calls[name].over()
	v := k.visitors[name]
	if done == nil {
		v.receive()
		done = v.done
	}
	select {
	case <-done:
	case <-ctx.Done():
		return nil, fmt.Errorf("%s was not answered: %w", name, context.Cause(ctx))
	}
	if c := k.calls[name]; c != nil {
		return c.got, nil
	}
	return v.got, nil
}

// check compares an answer with a step, and saves the values that the step names.
func (k *talk) check(s vectors.Step, got *Reply) error {
	if cut := s.Expect != nil && s.Expect.Cut; (got.Err != nil) != cut {
		return fmt.Errorf("%v, want the answer to be cut: %v", got.Err, cut)
	}
	if d := s.Expect.Diff(got.Status, got.Header, got.Content, k.vars); d != "" {
		return errors.New(d)
	}
	return k.save(s, got.Content)
}

// save saves the values of an answer or a message that a step names.
func (k *talk) save(s vectors.Step, content []byte) error {
	for name, pointer := range s.Save {
		value, err := vectors.Pick(content, pointer)
		if err != nil {
			return err
		}
		k.vars[name] = value
	}
	return nil
}

func (k *talk) open(ctx context.Context, s vectors.Step) error {
	fields := http.Header{}
	if s.Link.As != "" {
		fields.Set("Authorization", "Bearer "+vectors.Fill(s.Link.As, k.vars))
	}
	for _, f := range s.Link.Headers {
		fields.Add(f[0], vectors.Fill(f[1], k.vars))
	}
	l, got := k.site.open(ctx, vectors.Fill(s.Link.URL, k.vars), fields)
	k.links[s.Name] = l
	if s.Expect != nil {
		return k.check(s, got)
	}
	if l == nil {
		return fmt.Errorf("the answer to the upgrade: %w", got.unexpected())
	}
	return nil
}

// onLink performs a step on an open link.
func (k *talk) onLink(ctx context.Context, s vectors.Step) error {
	l := k.links[s.On]
	if l == nil {
		return fmt.Errorf("there is no link %s", s.On)
	}
	if s.Sends == nil {
		l.line.let()
	}
	switch {
	case s.Holds:
		l.line.hold()
	case s.Sends != nil && s.Sends.Ping:
		ctx, cancel := context.WithTimeout(ctx, pingTime)
		defer cancel()
		if err := l.conn.Ping(ctx); err != nil {
			return err
		}
	case s.Sends != nil:
		content, binary := s.Sends.Bytes(k.vars)
		kind := websocket.MessageText
		if binary {
			kind = websocket.MessageBinary
		}
		_ = l.conn.Write(ctx, kind, content) // the gateway may close meanwhile
	case s.Gets != nil:
		got := l.message(ctx, vectors.TypeOf(s.Gets) == "ping")
		if got == nil {
			return fmt.Errorf("%s, want a message %s", l.end(), s.Gets)
		}
		if d := vectors.DiffMessage(s.Gets, got, k.vars); d != "" {
			return errors.New(d)
		}
		if err := k.save(s, got); err != nil {
			return err
		}
	case s.Results != nil:
		if err := k.results(ctx, s, l); err != nil {
			return err
		}
	case s.Closes != 0:
		l.wait(ctx, func() bool { return false })
		if code := websocket.StatusCode(s.Closes); !l.ended || l.code != code {
			return fmt.Errorf("%s, want %d", l.end(), s.Closes)
		}
	case s.Ends != 0:
		_ = l.conn.Close(websocket.StatusCode(s.Ends), "") // the gateway may close at the same time
	default:
		return errors.New("it does nothing")
	}
	return l.faults()
}

// pingTime bounds how long a Ping frame may stay unanswered.
const pingTime = 10 * time.Second

func (k *talk) results(ctx context.Context, s vectors.Step, l *link) error {
	for _, want := range s.Results {
		of := vectors.Fill(vectors.IDOf(want), k.vars)
		got := l.result(ctx, func(r json.RawMessage) bool { return vectors.IDOf(r) == of })
		if got == nil {
			return fmt.Errorf("%s, want a result %s", l.end(), want)
		}
		if d := vectors.DiffMessage(want, got, k.vars); d != "" {
			return fmt.Errorf("result %s: %s", got, d)
		}
	}
	return nil
}
