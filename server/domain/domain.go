// Package domain manages the owners' own domains: it verifies who controls them, and maps them to
// claims.
//
// A claim requests a domain. Its owner proves control of the domain by a TXT record whose value is
// derived from the token of the claim, unless the operator lists the domain for the label. The
// record is looked up repeatedly, first within seconds and then every few hours, and the domain
// stops working when the record is gone.
package domain

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"

	"reversehttp/server/claim"
	"reversehttp/server/publicurl"
	"reversehttp/server/terms"
)

// Options configure [New].
type Options struct {
	// Public has the gateway's own names, which claims cannot use.
	Public *publicurl.Template
	// Secret is the key from which the values of records are derived. It must outlive the process
	// if claims do.
	Secret []byte
	// Listed maps domains to the labels that the operator assigned them to, regardless of DNS
	// records.
	Listed map[string]string
	// Lookup returns the TXT records of a name. Nil means the resolver of the machine.
	Lookup func(ctx context.Context, name string) ([]string, error)
	// Shared is where the nodes of a cluster keep which domain leads to which label. Nil means that
	// there are no other nodes.
	Shared Shared
	// Log receives a message when a domain begins or ceases to lead to a claim. Nil means that
	// these are not logged.
	Log *slog.Logger
}

// Shared is which domain leads to which label, for all nodes of a cluster. Its methods return soon: a
// change may be made, or not, afterwards.
type Shared interface {
	// LabelOf returns the label that a domain leads to, or "".
	LabelOf(name string) string
	// Lead has a domain lead to a label, whose claim this node keeps.
	Lead(name, label string)
	// Cease ends that a domain leads to a label, unless another node keeps its claim by now.
	Cease(name, label string)
}

const (
	// soon is the first delay between lookups of a missing record. It doubles up to seldom.
	soon, seldom = 5 * time.Second, time.Hour
	// again is the delay between lookups of a record that exists.
	again = 3 * time.Hour
	// unknown is the delay after a lookup that no server answered, and forgive how long the domain
	// keeps working meanwhile.
	unknown, forgive = 5 * time.Minute, 24 * time.Hour
	// lookupTime bounds one lookup.
	lookupTime = 5 * time.Second
	// mostLookups bounds the concurrent lookups.
	mostLookups = 16
)

// prefix precedes a domain in the name of its record, and valuePrefix the value in the text of the
// record.
const prefix, valuePrefix = "_reversehttp.", "reversehttp="

// Domains has the domains of all claims.
type Domains struct {
	options Options
	ctx     context.Context // ends with Close
	end     context.CancelFunc
	running sync.WaitGroup // lookups

	mu      sync.RWMutex // guards below
	claims  map[*claim.Claim]*entry
	served  map[string]*entry // the entries that lead to a claim, by domain
	due     queue             // entries to look up
	lookups int               // in progress
	timer   *time.Timer       // fires when the first entry is due; nil until then
	closed  bool
}

// entry is the domain of a claim. The mutex of Domains guards it.
type entry struct {
	claim   *claim.Claim
	name    string
	value   string // of the record that proves control; "" if the operator listed the domain
	problem string // why the domain does not lead to the claim; "" if it does
	gone    bool   // the claim ended, or has another domain

	due   time.Time
	place int           // index in the queue, or -1
	wait  time.Duration // before the next lookup of a missing record
	seen  time.Time     // when the record was last found
	asked time.Time     // when it was last looked up
}

// New returns an empty set of domains.
func New(o Options) *Domains {
	if o.Lookup == nil {
		o.Lookup = (&net.Resolver{PreferGo: true}).LookupTXT
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	d := &Domains{options: o, claims: make(map[*claim.Claim]*entry), served: make(map[string]*entry)}
	d.ctx, d.end = context.WithCancel(context.Background())
	return d
}

// LabelOf returns the label of the claim that a host name leads to, at this node or another, or "".
func (d *Domains) LabelOf(name string) string {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if e := d.served[name]; e != nil {
		return e.claim.Label()
	}
	if d.options.Shared != nil {
		return d.options.Shared.LabelOf(name)
	}
	return ""
}

// Own reports whether a name is one of the gateway's, or below or above its parent domain.
func (d *Domains) Own(name string) bool { return d.options.Public.Near(name) }

// State is the state of a claim's domain, for its owner.
type State struct {
	// Name is the domain.
	Name string
	// URL is the URL at the domain if requests there reach the claim, and otherwise "".
	URL string
	// Record and Value are the name and the text of the TXT record that proves control of the
	// domain. Both are "" if the operator assigned the domain.
	Record, Value string
	// Problem says, for people, why requests do not reach the claim. It is "" if they do.
	Problem string
}

// Tell returns the state of the domain of a claim. It is the zero value if the claim has none.
func (d *Domains) Tell(c *claim.Claim) (s State) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	e := d.claims[c]
	if e == nil {
		return s
	}
	s.Name = e.name
	if d.served[e.name] == e {
		s.URL = d.options.Public.ForDomain(e.name).Base("")
	}
	if e.value != "" {
		s.Record, s.Value = prefix+e.name, e.value
	}
	s.Problem = e.problem
	return s
}

// Note takes the terms of a claim that was made or changed. Call it from the Tap of
// [claim.Options].
func (d *Domains) Note(c *claim.Claim, t claim.Terms) {
	name := terms.DomainOf(t)
	d.mu.Lock()
	defer d.mu.Unlock()
	e := d.claims[c]
	if name == "" {
		d.drop(e)
		return
	}
	value := valuePrefix + claim.Mark(c, d.options.Secret, "domain "+name)
	label, listed := d.options.Listed[name]
	if listed || d.Own(name) {
		value = ""
	}
	if e == nil || e.name != name || e.value != value {
		d.drop(e)
		e = &entry{claim: c, name: name, value: value, place: -1}
		d.claims[c] = e
	}
	switch {
	case d.closed, d.served[name] == e:
	case d.Own(name):
		e.problem = "The domain is the gateway's own."
	case listed && label != c.Label():
		e.problem = "The operator of this gateway lists the domain for another label."
	case listed:
		d.serve(e)
	case e.place >= 0 || e.asked.IsZero(): // the owner requested it again
		if e.asked.IsZero() {
			e.problem = "The record has not been looked up yet."
		}
		e.wait = 0
		d.plan(e, e.asked.Add(soon))
	}
}

// Forget drops the domain of a claim that ended. Call it from the Untap of [claim.Options].
func (d *Domains) Forget(c *claim.Claim) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.drop(d.claims[c])
}

// Close ends lookups, and waits for them.
func (d *Domains) Close() {
	d.mu.Lock()
	d.closed = true
	if d.timer != nil {
		d.timer.Stop()
	}
	d.mu.Unlock()
	d.end()
	d.running.Wait()
}

// drop forgets an entry, which may be nil. The caller holds d.mu.
func (d *Domains) drop(e *entry) {
	if e == nil {
		return
	}
	e.gone = true
	d.due.remove(e)
	d.withdraw(e)
	d.cease(e)
	delete(d.claims, e.claim)
}

// cease ends for all nodes that the domain of an entry leads to its claim. The caller holds d.mu.
func (d *Domains) cease(e *entry) {
	if s := d.options.Shared; s != nil && s.LabelOf(e.name) == e.claim.Label() {
		s.Cease(e.name, e.claim.Label())
	}
}

// serve makes a domain lead to its claim. It takes the domain from another claim that has it
// without being listed by the operator. The caller holds d.mu.
func (d *Domains) serve(e *entry) {
	e.problem, e.wait = "", 0
	if d.served[e.name] != e {
		d.withdraw(d.served[e.name])
		d.served[e.name] = e
		if s := d.options.Shared; s != nil && s.LabelOf(e.name) != e.claim.Label() {
			s.Lead(e.name, e.claim.Label())
		}
		d.options.Log.Info("domain leads to a claim", "domain", e.name, "label", e.claim.Label())
	}
}

// withdraw stops the domain of an entry, which may be nil, from leading to its claim. The caller
// holds d.mu.
func (d *Domains) withdraw(e *entry) {
	if e != nil && d.served[e.name] == e {
		delete(d.served, e.name)
		d.options.Log.Info("domain no longer leads to a claim", "domain", e.name, "label", e.claim.Label())
	}
}

// look looks up the record of an entry.
func (d *Domains) look(e *entry) {
	ctx, cancel := context.WithTimeout(d.ctx, lookupTime)
	defer cancel()
	texts, err := d.options.Lookup(ctx, prefix+e.name+".") // with a final dot: no search list
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lookups--
	if !e.gone && !d.closed {
		d.judge(e, texts, err)
	}
	d.begin()
}

// judge evaluates the result of looking up the record of an entry. The caller holds d.mu.
func (d *Domains) judge(e *entry, texts []string, err error) {
	now := time.Now()
	e.asked = now
	other := d.served[e.name]
	dns, answered := errors.AsType[*net.DNSError](err)
	switch {
	case err == nil && slices.Contains(texts, e.value):
		if other != nil && other != e && slices.Contains(texts, other.value) {
			e.problem = "Another claim of this gateway has the domain, and its record still exists."
			break
		}
		d.serve(e)
		e.seen = now
		d.plan(e, now.Add(again))
		return
	case err != nil && !(answered && dns.IsNotFound):
		if other == e && now.Sub(e.seen) < forgive {
			d.plan(e, now.Add(unknown))
			return
		}
		e.problem = "The servers of the domain's records did not answer."
		if other == e {
			d.cease(e)
		}
	default:
		e.problem = "There is no TXT record " + prefix + e.name + " with the text of domainValue."
		d.cease(e)
	}
	d.withdraw(e)
	e.wait = min(max(2*e.wait, soon), seldom)
	d.plan(e, now.Add(e.wait))
}
