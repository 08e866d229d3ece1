package family

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"

	"reversehttp/schema"
	"reversehttp/server/claim"
	"reversehttp/server/door"
	"reversehttp/server/problem"
	"reversehttp/server/wire"
)

// comet is the door for COMET with JSON as of 2008. Every request of a program is a POST to the one
// URL of a label: it carries the response to an earlier event, or nothing, and is answered with the
// next event.
//
// A program does not identify its polls. So each open poll has a session, and the next poll, of any sender,
// takes over a session whose poll was answered: an event is found by its id, in whichever session it is.
type comet struct {
	g  *door.Host
	by *entrance
}

const cometName = "comet2008"

func newComet(by *entrance) door.Door {
	d, g := &comet{by.g, by}, by.g
	return door.Door{Name: cometName, URL: g.Public.Control + "comet/{label}", Routes: func(r chi.Router) {
		r.Post("/comet/{label}", d.turn)
	}, LabelOf: func(r *http.Request) string {
		name, under := strings.CutPrefix(r.URL.Path, "/comet/")
		if !under {
			return ""
		}
		label, _, _ := by.who(r, name)
		return label
	}}
}

// turn answers POST /comet/{label}.
func (d *comet) turn(w http.ResponseWriter, r *http.Request) {
	begun := time.Now()
	c, err := d.claim(r)
	if err == nil {
		err = d.take(w, r, c)
	}
	var e *event
	if err == nil {
		e, err = d.next(r, c)
	}
	switch {
	case errors.Is(err, context.Canceled):
		panic(http.ErrAbortHandler) // the client is gone
	case errors.Is(err, claim.ErrDraining):
		holdBack(r, begun) // and no event comes
	case err != nil:
		door.Refuse(w, r, err)
		return
	}
	content := e.text()
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Type", "application/json")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Length", strconv.Itoa(len(content)))
	wire.BoundWrite(w, len(content))
	_, _ = w.Write(content)
}

// claim returns the claim of r, which shows its token. If nobody has the label, claim claims it.
func (d *comet) claim(r *http.Request) (*claim.Claim, error) {
	label, token, _ := d.by.who(r, chi.URLParam(r, "label"))
	if c := d.g.Registry.Lookup(label); c != nil && c.Owns(token) {
		from := d.g.Admission.From(r)
		if s := c.Idle(cometName); s != nil && s.Known.Has(from) { // a session that continues
			return c, nil
		}
		if p := d.g.Admission.Shown(from, true); p != nil {
			return nil, p
		}
		return c, nil
	}
	s, err := d.open(r)
	if err != nil {
		return nil, err
	}
	return s.Claim(), nil
}

// open opens a session for one more poll.
func (d *comet) open(r *http.Request) (*claim.Session, error) {
	return d.by.enter(r, cometName, chi.URLParam(r, "label"))
}

// take reads the response that r carries, if any. It ignores a response to an unknown event, or to
// one that is over: the program cannot help it.
func (d *comet) take(w http.ResponseWriter, r *http.Request, c *claim.Claim) error {
	content, done, err := d.g.ReadAnswer(w, r, c)
	if err != nil {
		return err
	}
	defer done()
	resp, err := responseOf(content)
	if err != nil || resp == nil {
		return err
	}
	s, x := c.Holder(cometName, resp.id)
	if x == nil {
		return nil
	}
	fault := resp.fault
	if fault != nil {
		_, _ = s.Delivery(x.ID()).Abort()
	} else {
		fault = d.g.AnswerWhole(s, x, resp.status, resp.fields, resp.content)
	}
	if fault != nil {
		return problem.New(schema.CodeBadAnswer, "The content is not a response to an event: "+fault.Error()+".")
	}
	return nil
}

// mostRaces bounds how often a poll looks for a session while others take them.
const mostRaces = 16

// next returns the next event of c, or nil if none comes in time.
func (d *comet) next(r *http.Request, c *claim.Claim) (*event, error) {
	until := time.Now().Add(d.g.Registry.Options().Times.Wait)
	races := 0
	for first := true; first || time.Now().Before(until); first = false {
		s := c.Idle(cometName)
		if _, token, _ := d.by.who(r, chi.URLParam(r, "label")); s == nil || !c.Owns(token) {
			var err error
			if s, err = d.open(r); err != nil {
				return nil, err
			}
			c = s.Claim()
		} else {
			s.Known.Add(d.g.Admission.From(r))
		}
		batch, err := poll(r.Context(), s, nil, time.Until(until), 1)
		switch {
		case errors.Is(err, claim.ErrSessionFenced), errors.Is(err, claim.ErrLeaseEnded), errors.Is(err, claim.ErrNoSession), err == nil && batch == nil:
			if races++; races > mostRaces {
				return nil, nil
			}
		case err != nil:
			return nil, err
		default:
			e, err := d.eventOf(r.Context(), s, batch)
			if e != nil || err != nil {
				return e, err
			}
		}
	}
	return nil, nil
}

// mostEvent bounds the content, in bytes, that is collected for an event. The program gets it
// whole.
const mostEvent = 1 << 20

// eventOf converts the request of a batch to an event. It returns nil if the request ended before
// all its content had come.
func (d *comet) eventOf(ctx context.Context, s *claim.Session, batch *claim.Batch) (*event, error) {
	x := batch.Messages[0].Exchange
	asked := x.Request()
	content := asked.Content
	if content.Streams() && asked.Upgrade == "" {
		collected, free, err := d.g.Collect(ctx, s, x, mostEvent, "The program behind this URL takes "+strconv.Itoa(mostEvent)+" bytes of content at most.")
		if err != nil {
			return nil, ctx.Err()
		}
		defer free()
		content = collected
	}
	d.g.Delivered(batch)
	return newEvent(x, content.Bytes()), nil
}
