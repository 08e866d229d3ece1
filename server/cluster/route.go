package cluster

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"

	"reversehttp/schema"
	"reversehttp/server/budget"
	"reversehttp/server/claim"
	"reversehttp/server/cluster/engine"
	"reversehttp/server/cluster/peer"
	"reversehttp/server/intake"
	"reversehttp/server/problem"
)

// Visit implements [reversehttp/server/gateway.Elsewhere].
func (n *Node) Visit(w http.ResponseWriter, r *http.Request, label string, hold *budget.Hold, before *claim.Note) bool {
	t := &trip{n: n, w: w, r: r, label: label, refuse: func(p *problem.Problem) { intake.Refuse(w, r, p) }, hold: hold, before: before}
	return t.travel()
}

// Pass implements [reversehttp/server/gateway.Elsewhere].
func (n *Node) Pass(w http.ResponseWriter, r *http.Request, label string, before *claim.Note) bool {
	t := passing(n, w, r, label)
	t.before = before
	return t.travel()
}

// passing returns the trip of a program's request.
func passing(n *Node, w http.ResponseWriter, r *http.Request, label string) *trip {
	return &trip{n: n, w: w, r: r, label: label, refuse: func(p *problem.Problem) {
		p.Unread = true
		p.Write(w, r)
	}}
}

// Has implements [reversehttp/server/gateway.Elsewhere].
func (n *Node) Has(label string) bool {
	_, known := n.options.Engine.Home(label)
	return known
}

// EntryOf implements [reversehttp/server/gateway.Elsewhere].
func (n *Node) EntryOf(r *http.Request) claim.Entry {
	if call := peer.CallOf(r); call != nil {
		return call
	}
	return nil
}

// carried returns the handler for requests that other nodes carry to a gateway.
func carried(g http.Handler, registry *claim.Registry) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		call := peer.CallOf(r)
		if before := call.Before(); hadBefore(before) || before != nil && before.Lost && claim.MayRepeat(registry, call.Label(), r.Method) {
			r = r.WithContext(problem.MaybeHanded(r.Context()))
		}
		g.ServeHTTP(w, r)
	})
}

// hadBefore reports whether a handler may have had the request of a note.
func hadBefore(n *claim.Note) bool { return n != nil && n.Session != "" }

// trip is a request on its way to the home of its claim.
type trip struct {
	n       *Node
	w       http.ResponseWriter
	r       *http.Request
	label   string
	hold    *budget.Hold // nil for a program's request
	refuse  func(*problem.Problem)
	content *peer.Content
	begun   bool        // a home was sent the request
	reached bool        // a home that was lost may have had it, or a program did
	before  *claim.Note // the last one of a home that was lost; nil if there is none
}

const (
	// mostTries bounds how often a home is looked for: some nodes learn later than others that one is gone.
	mostTries = 60
	// pause is how long a trip waits before it looks again for a home that did not take it.
	pause = 50 * time.Millisecond
)

// travel has the home of the claim serve the request. It reports false if that is this node, or nobody
// has the label.
func (t *trip) travel() bool {
	defer func() { t.content.Stop() }()
	ctx := t.r.Context()
	var err error
	var moved *peer.Node // the home that no longer keeps the claim
	for tries := range mostTries {
		if tries > 1 {
			select {
			case <-time.After(pause):
			case <-ctx.Done():
				panic(http.ErrAbortHandler) // nobody is there to be answered
			}
		}
		var home engine.Home
		if home, err = t.n.home(ctx, t.label, tries > 0); err != nil {
			if err == claim.ErrNoRecord && !t.begun {
				return false
			}
			if err == claim.ErrNoRecord && moved != nil && t.hold == nil && t.content.Whole() {
				t.label = "" // it ended there, and its sessions are remembered there
				if err = t.carry(*moved); err == nil {
					return true
				}
			}
			break
		}
		if t.n.isSelf(home) {
			if !claim.Keeps(t.n.registry, t.label) { // a takeover that ended without an answer
				if err = t.n.take(ctx, t.label, "asked"); err != nil {
					break
				}
				if !claim.Keeps(t.n.registry, t.label) { // another node has it, or it is about to come
					err = claim.ErrUnavailable
					continue
				}
			}
			if !t.begun && t.before == nil {
				return false
			}
		}
		if err = t.n.peers.await(ctx, processOf{home.Node, home.Run}); err == errCut {
			break
		} else if err != nil {
			panic(http.ErrAbortHandler) // nobody is there to be answered
		}
		at, alive := t.n.peers.at(home)
		if !alive {
			if err = t.n.take(ctx, t.label, "asked"); err != nil {
				break
			}
			continue
		}
		if at.Address == "" { // it has just left
			continue
		}
		if err = t.carry(at); err == nil {
			return true
		}
		if moved = nil; errors.Is(err, peer.ErrMoved) {
			moved = &at
		}
		var lost *peer.Lost
		if errors.As(err, &lost) && !t.spared(home, lost) {
			break
		}
	}
	t.fail(err)
	return true
}

// carry has a home serve the request.
func (t *trip) carry(at peer.Node) error {
	if !t.begun {
		t.begun = true
		t.content = peer.NewContent(t.w, t.r)
		if t.content != nil && t.hold != nil && !t.hold.Grow(peer.MostKept) {
			p := intake.NoRoom()
			p.Handed = claim.HandedNo
			t.refuse(p)
			return nil
		}
	}
	t.n.figures.carried.WithLabelValues(t.kind()).Inc()
	before := t.before
	if t.reached = t.reached || hadBefore(before); t.reached { // though another home has noted less
		before = new(claim.Note)
		if t.before != nil {
			*before = *t.before
		}
		before.Lost = true
	}
	return t.n.pool.Carry(t.w, t.r, t.content, at, t.label, before)
}

// kind says for metrics whose request it is.
func (t *trip) kind() string {
	if t.hold != nil {
		return "visit"
	}
	return "program"
}

// spared reports whether the request may go to another home after one was lost. That one has told
// which session was given it, unless it may be given to several.
func (t *trip) spared(home engine.Home, lost *peer.Lost) bool {
	gone := t.n.peers.blame(home, lost.Err) || t.n.peers.isDead(processOf{home.Node, home.Run})
	if lost.Before != nil {
		t.before = lost.Before
	}
	t.reached = t.reached || lost.Sent || !lost.Unreached && !errors.Is(lost.Err, peer.ErrMoved)
	if timeout, is := errors.AsType[net.Error](lost.Err); lost.Unreached && !gone && is && timeout.Timeout() && t.r.Context().Err() == nil {
		t.n.peers.miss(processOf{home.Node, home.Run}) // it may still be the home of others
	}
	return t.content.Whole()
}

// fail answers that no home took it.
func (t *trip) fail(err error) {
	p := &problem.Problem{Code: schema.CodeUnavailable}
	if t.hold != nil && !t.reached && !hadBefore(t.before) && (t.before == nil || !t.before.Lost) {
		p.Handed = claim.HandedNo
	}
	var lost *peer.Lost
	switch {
	case errors.As(err, &lost) && !lost.Unreached && t.hold != nil:
		p.Code, p.Handed = schema.CodeSessionLost, claim.HandedUnknown
	case errors.Is(err, claim.ErrNoRecord), errors.Is(err, claim.ErrNoClaim):
		p.Code = schema.CodeNoClaim
	case t.hold != nil && err != claim.ErrUnavailable:
		p.Code = schema.CodeNoHandler
	}
	t.refuse(p)
}

// home returns the home of a label: as the directory has it, or, if it is not there or has to be
// fresh, as the engine has it.
func (n *Node) home(ctx context.Context, label string, fresh bool) (engine.Home, error) {
	if !claim.ValidLabel(label) { // NATS would take * and > for every label
		return engine.Home{}, claim.ErrNoRecord
	}
	if claim.Keeps(n.registry, label) {
		self := engine.Home{Node: n.options.Name, Run: n.options.Run}
		if !n.pulse.missed() || !n.looks.Allow() {
			return self, nil
		}
		_, home, err := n.options.Engine.Look(ctx, label)
		if err != nil || n.isSelf(home) {
			return self, nil
		}
		n.depose(engine.Change{Label: label, Home: home})
		return home, nil
	}
	if home, known := n.options.Engine.Home(label); known && !fresh && !n.isSelf(home) {
		return home, nil
	}
	if !n.looks.Allow() {
		return engine.Home{}, claim.ErrUnavailable
	}
	record, home, err := n.options.Engine.Look(ctx, label)
	switch {
	case errors.Is(err, claim.ErrNoRecord), err == nil && !record.Released.IsZero():
		return engine.Home{}, claim.ErrNoRecord
	case err != nil:
		return engine.Home{}, claim.ErrUnavailable
	}
	return home, nil
}
