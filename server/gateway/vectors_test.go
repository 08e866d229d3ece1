package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"reversehttp/schema"
	"reversehttp/schema/vectors"
	"reversehttp/server/account"
	"reversehttp/server/claim"
	"reversehttp/server/quota"
)

// way is one by which a program takes requests and answers them.
type way struct {
	name           string
	framed, linked bool
}

var ways = []way{
	{name: ""}, {name: ", framed", framed: true}, {name: ", by link", linked: true}, {name: ", framed by link", framed: true, linked: true},
}

func TestVectorsOfExchanges(t *testing.T) {
	for _, c := range vectors.Exchanges() {
		if !c.In("gateway") {
			continue
		}
		for _, by := range ways {
			t.Run(c.Name+by.name, func(t *testing.T) {
				inWorld(t, Options{}, func(w *world) { runExchange(w, c, by) })
			})
		}
	}
}

func runExchange(w *world, c vectors.Exchange, by way) {
	w.t.Helper()
	p := w.claim("demo")
	p.serveBy(by)
	vars := map[string]string{"host": host, "label": "demo", "visitor": visitorIP}
	v := w.dial(visitorAddr)
	raw := c.Visitor.Bytes(vars)
	method, _, _ := bytes.Cut(raw, []byte(" "))
	done := make(chan *reply, 1)
	v.write(raw)
	go func() { done <- v.read(string(method)) }()

	request := p.next()
	if d := c.Request.Diff(request, vars); d != "" {
		w.t.Errorf("request: %s", d)
	}
	if request.BodyURL != "" {
		if d := c.Request.DiffContent(p.fetched(request).Content); d != "" {
			w.t.Errorf("request: %s", d)
		}
	}
	p.respond(c.Answer().Envelope(request.ID))
	got := <-done
	if got.Err != nil {
		w.t.Fatalf("visitor: %v", got.Err)
	}
	if d := c.Received.Diff(got.Status, fieldsOf(got.Header), got.Content, vars); d != "" {
		w.t.Errorf("received: %s", d)
	}
	if n := v.in.Buffered(); n > 0 {
		w.t.Errorf("%d bytes after the answer", n)
	}
}

func TestVectorsOfFaults(t *testing.T) {
	for _, c := range vectors.Invalid() {
		for _, by := range ways {
			if by.linked && !isObject(c.Answer) {
				continue // it is no message there, and ends the link
			}
			t.Run(c.Name+by.name, func(t *testing.T) {
				inWorld(t, Options{}, func(w *world) { runFault(w, c, by) })
			})
		}
	}
}

func runFault(w *world, c vectors.Fault, by way) {
	w.t.Helper()
	p := w.claim("demo")
	p.serveBy(by)
	method := c.Method
	if method == "" {
		method = "GET"
	}
	v := w.visit(requestTo(method, host, "/"))
	request := p.next()
	got := p.answer(map[string]any{"messages": []any{c.Message(request.ID)}})
	if got.Status != c.Result.Status {
		w.t.Errorf("result = %s, want %s (%s)", got.Status, c.Result.Status, got.Detail)
	}
	pointer := c.Result.Pointer
	if strings.HasPrefix(pointer, "/body") && bytes.Contains(framesOf(w.t, c.Message(request.ID)), []byte("contentLength")) && by.framed {
		pointer = "/contentLength" // where the content is then
	}
	if got.Status == schema.ResultInvalid && (got.Pointer == nil || *got.Pointer != pointer) {
		w.t.Errorf("pointer = %s, want %q (%s)", quoted(got.Pointer), c.Result.Pointer, got.Detail)
	}
	if got.Status != schema.ResultInvalid {
		return
	}
	if c.ID == nil && isObject(c.Answer) && got.ID != request.ID {
		w.t.Errorf("id of the result = %q, want %q", got.ID, request.ID)
	}
	p.respond(schema.Response{ID: request.ID, Status: 200, Headers: []schema.Field{{"X-Good", "1"}}})
	if r := v.await(); r.Status != 200 || r.Header.Get("X-Good") != "1" {
		w.t.Errorf("the better answer gave %d %s", r.Status, r.Content)
	}
}

func isObject(v json.RawMessage) bool {
	var m map[string]any
	return json.Unmarshal(v, &m) == nil && m != nil
}

func quoted(s *string) string {
	if s == nil {
		return "absent"
	}
	return `"` + *s + `"`
}

func TestVectorsOfConversations(t *testing.T) {
	for _, c := range vectors.Conversations() {
		t.Run(c.Name, func(t *testing.T) {
			o := Options{
				PublicURL: c.Gateway.PublicURL, Keys: c.Gateway.Keys, AnswerBytes: c.Gateway.AnswerBytes, ContentBytes: c.Gateway.ContentBytes, Loopback: !c.Gateway.Reachable,
				LinkWindow: c.Gateway.LinkWindow, AllowOrigins: c.Gateway.AllowOrigins,
				Limits: claim.Limits{Queue: c.Gateway.Queue, Sessions: c.Gateway.Sessions, Batch: c.Gateway.Batch},
			}
			if c.Gateway.Accounts != nil {
				a, err := account.Parse(c.Gateway.Accounts)
				if err != nil {
					t.Fatal(err)
				}
				o.Accounts = account.Of(a)
			}
			for of, into := range map[string]**quota.Limits{"address": &o.Quotas.Address, "label": &o.Quotas.Label} {
				if text := c.Gateway.Quotas[of]; text != nil {
					*into = new(quota.Limits)
					if err := json.Unmarshal(text, *into); err != nil {
						t.Fatal(err)
					}
				}
			}
			for _, prefix := range c.Gateway.TrustedProxies {
				o.TrustedProxies = append(o.TrustedProxies, netip.MustParsePrefix(prefix))
			}
			inWorld(t, o, func(w *world) {
				(&talk{world: w, vars: map[string]string{}, calls: map[string]*call{}, visitors: map[string]*visitor{}, links: links{}}).run(c.Steps)
			})
		})
	}
}

// talk is a conversation with a gateway.
type talk struct {
	*world
	vars     map[string]string
	calls    map[string]*call
	visitors map[string]*visitor
	links    links
}

func (k *talk) run(steps []vectors.Step) {
	k.t.Helper()
	for i, s := range steps {
		if !k.step(i, s) {
			return
		}
		synctest.Wait()
	}
}

// step does one step and tells whether the conversation goes on.
func (k *talk) step(i int, s vectors.Step) bool {
	k.t.Helper()
	switch {
	case s.Send != nil:
		c := k.begin(k.programs(*s.Send))
		<-c.done
		return k.check(i, s, c.got)
	case s.Open != nil:
		k.calls[s.Name] = k.begin(k.programs(*s.Open))
	case s.Visit != nil:
		v := k.dial(visitorAddr)
		v.begin(string(s.Visit.Bytes(k.gateway.public.Authority(s.Visit.Label), k.vars)))
		if !s.Visit.Holds {
			v.receive()
		}
		k.visitors[s.Name] = v
	case s.Link != nil:
		return k.open(i, s)
	case s.On != "":
		return k.onLink(i, s)
	case s.Leave != "":
		k.leave(s.Leave)
	case s.Await != "":
		return k.check(i, s, k.await(s.Await))
	case k.links[s.Pending] != nil:
		if left := k.links[s.Pending].left(); len(left) > 0 {
			k.t.Errorf("step %d: on %s there is %s", i, s.Pending, left)
			return false
		}
	case s.Pending != "":
		if k.answered(s.Pending) {
			k.t.Errorf("step %d: %s is answered: %+v", i, s.Pending, k.await(s.Pending))
			return false
		}
	case s.SleepMs > 0:
		time.Sleep(time.Duration(s.SleepMs) * time.Millisecond)
	case s.Drain:
		go k.gateway.Drain(context.Background())
	default:
		k.t.Fatalf("step %d does nothing", i)
	}
	return true
}

func (k *talk) programs(s vectors.Send) *http.Request {
	req, err := s.Request(k.origin(), k.vars)
	if err != nil {
		k.t.Fatal(err)
	}
	return req
}

func (k *talk) leave(name string) {
	if c := k.calls[name]; c != nil {
		c.stop()
	} else if l := k.links[name]; l != nil {
		_ = l.conn.CloseNow()
	} else {
		_ = k.visitors[name].conn.Close()
	}
}

func (k *talk) answered(name string) bool {
	if c := k.calls[name]; c != nil {
		select {
		case <-c.done:
			return true
		default:
			return false
		}
	}
	return !k.visitors[name].pending()
}

func (k *talk) await(name string) *reply {
	if c := k.calls[name]; c != nil {
		<-c.done
		return c.got
	}
	v := k.visitors[name]
	v.receive()
	<-v.done
	return v.got
}

// check compares an answer and saves what the step wants of it.
func (k *talk) check(i int, s vectors.Step, got *reply) bool {
	k.t.Helper()
	if cut := s.Expect != nil && s.Expect.Cut; (got.Err != nil) != cut {
		k.t.Errorf("step %d: %v, want the answer to be cut: %v", i, got.Err, cut)
		return false
	}
	if d := s.Expect.Diff(got.Status, got.Header, got.Content, k.vars); d != "" {
		k.t.Errorf("step %d: %s", i, d)
		return false
	}
	return k.save(i, s, got.Content)
}

// save keeps what a step wants of an answer or a message.
func (k *talk) save(i int, s vectors.Step, content []byte) bool {
	k.t.Helper()
	for name, pointer := range s.Save {
		value, err := vectors.Pick(content, pointer)
		if err != nil {
			k.t.Errorf("step %d: %v", i, err)
			return false
		}
		k.vars[name] = value
	}
	return true
}
