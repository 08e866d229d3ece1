// Package domain has the domains that claims bring of their own: whose they are, and which lead to a claim.
//
// A claim asks for a domain. Whoever can set its records shows that they let the claim have it, by a TXT record with a value that is
// bound to the token of the claim, or the operator lists it for a label. The record is looked for again and again: at first soon,
// then every few hours, so that a domain ends with it.
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

// Options of [New].
type Options struct {
	// Public are the gateway's own names, which no claim brings.
	Public *publicurl.Template
	// Secret is what the values of records are made with. It outlives the process where claims do.
	Secret []byte
	// Listed has the labels that the operator gives domains to, whatever records they have.
	Listed map[string]string
	// Lookup returns the texts of a name. Nil means by the resolver of the machine.
	Lookup func(ctx context.Context, name string) ([]string, error)
	// Log gets which domains lead to a claim, and which do not any more. Nil means nowhere.
	Log *slog.Logger
}

const (
	// soon is when a record is looked for again that is not there; then the time doubles, up to seldom.
	soon, seldom = 5 * time.Second, time.Hour
	// again is how long a record counts that is there.
	again = 3 * time.Hour
	// unknown is when it is looked for again where no server answered, and forgive how long it counts meanwhile.
	unknown, forgive = 5 * time.Minute, 24 * time.Hour
	// lookupTime is how long servers have for an answer.
	lookupTime = 5 * time.Second
	// mostLookups is how many are asked at a time.
	mostLookups = 16
)

// prefix is what stands before a domain in the name of its record, and before the value of that.
const prefix, valuePrefix = "_reversehttp.", "reversehttp="

// Domains are those of all claims.
type Domains struct {
	options Options
	ctx     context.Context // ends with Close
	end     context.CancelFunc
	running sync.WaitGroup // lookups

	mu      sync.RWMutex // guards below
	claims  map[*claim.Claim]*entry
	served  map[string]*entry // by domain: those that lead to a claim
	due     queue             // those that are to be looked at
	lookups int               // under way
	timer   *time.Timer       // for the first that is due; nil before there is any
	closed  bool
}

// entry is the domain of a claim. The mutex of Domains guards it.
type entry struct {
	claim   *claim.Claim
	name    string
	value   string // of the record that shows whose it is; "" where the operator's list says that
	problem string // why it does not lead to the claim; "" where it does
	gone    bool   // the claim ended, or has another domain

	due   time.Time
	place int           // in the queue; -1 where it is not there
	wait  time.Duration // before the next look at a record that is not there
	seen  time.Time     // when the record was there
	asked time.Time     // when it was looked for
}

// New returns domains, of which there are none.
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

// LabelOf returns the label of the claim that a host name leads to, or "".
func (d *Domains) LabelOf(name string) string {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if e := d.served[name]; e != nil {
		return e.claim.Label()
	}
	return ""
}

// Own reports whether a name is one of the gateway's, below its parent domain or above it.
func (d *Domains) Own(name string) bool { return d.options.Public.Near(name) }

// State is what the owner of a claim is told of its domain.
type State struct {
	// Name is the domain.
	Name string
	// URL is where requests reach the claim; "" where they do not.
	URL string
	// Record and Value are the name and the value of the TXT record that shows whose the domain is; "" where the operator says that.
	Record, Value string
	// Problem is why requests do not reach the claim.
	Problem string
}

// Tell returns the state of the domain of a claim; the zero value where it has none.
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

// Note notes the terms of a claim that was made or changed, as the Tap of [claim.Options] does.
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
	case e.place >= 0 || e.asked.IsZero(): // it is asked for anew
		if e.asked.IsZero() {
			e.problem = "The record was not looked for yet."
		}
		e.wait = 0
		d.plan(e, e.asked.Add(soon))
	}
}

// Forget drops the domain of a claim that ended, as the Untap of [claim.Options] does.
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
	delete(d.claims, e.claim)
}

// serve has a domain lead to its claim. One that has it without the operator's word does not any more. The caller holds d.mu.
func (d *Domains) serve(e *entry) {
	e.problem, e.wait = "", 0
	if d.served[e.name] != e {
		d.withdraw(d.served[e.name])
		d.served[e.name] = e
		d.options.Log.Info("domain leads to a claim", "domain", e.name, "label", e.claim.Label())
	}
}

// withdraw has the domain of an entry, which may be nil, not lead to its claim. The caller holds d.mu.
func (d *Domains) withdraw(e *entry) {
	if e != nil && d.served[e.name] == e {
		delete(d.served, e.name)
		d.options.Log.Info("domain does not lead to a claim any more", "domain", e.name, "label", e.claim.Label())
	}
}

// look looks for the record of an entry.
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

// judge takes what was found where the record of an entry should be. The caller holds d.mu.
func (d *Domains) judge(e *entry, texts []string, err error) {
	now := time.Now()
	e.asked = now
	other := d.served[e.name]
	dns, answered := errors.AsType[*net.DNSError](err)
	switch {
	case err == nil && slices.Contains(texts, e.value):
		if other != nil && other != e && slices.Contains(texts, other.value) {
			e.problem = "Another claim of this gateway has the domain, and its record stands."
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
	default:
		e.problem = "There is no TXT record " + prefix + e.name + " with the text of domainValue."
	}
	d.withdraw(e)
	e.wait = min(max(2*e.wait, soon), seldom)
	d.plan(e, now.Add(e.wait))
}
