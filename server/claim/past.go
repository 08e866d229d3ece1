package claim

import (
	"container/heap"
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"time"

	"reversehttp/server/budget"
)

// Links to an origin, and what browsers keep of it, outlive its claim. So the record of a claim that ends stays, without
// its terms, as the record of a released label: its token gets the label back, and a claim by anybody else is a change of
// owner, which has a name.
//
// The number of released labels is bounded. Beyond it the registry forgets the label whose owner had it for the shortest
// time, so that claiming and releasing many labels makes it forget none that lasted.

// past has the released labels that a registry remembers.
type past struct {
	registry *Registry
	most     int // 0 for none

	mu   sync.Mutex // guards what follows
	all  map[string]*relic
	heap relics                    // the shortest lived first
	of   map[netip.Prefix][]*relic // relics that are kept for their tokens, by the address that released them, oldest first
}

// mostKept is how many released labels of one address are kept for their tokens. Anybody may claim older ones.
const mostKept = 100

// relic is a released label.
type relic struct {
	label string
	lived time.Duration
	from  netip.Prefix // whose label it was; invalid if that is unknown, or if the label is not kept for its token
	at    int          // in the heap
}

// change is a change of the record of a released label: the label is forgotten, or anybody may claim it.
type change struct {
	label  string
	forget bool
}

func newPast(r *Registry) past {
	return past{registry: r, most: max(r.limits.Released, 0), all: make(map[string]*relic), of: make(map[netip.Prefix][]*relic)}
}

// moment is now, as records keep it.
func moment() time.Time { return time.UnixMilli(time.Now().UnixMilli()) }

// begin returns the history of a new claim.
func (p *past) begin(minted bool) History {
	if p.most == 0 {
		return History{}
	}
	return History{Minted: minted, Begun: moment()}
}

// since returns when the owner of a restored claim got it. Old records do not say, and count from now.
func (p *past) since(begun time.Time) time.Time {
	if p.most > 0 && begun.IsZero() {
		return moment()
	}
	return begun
}

// after returns the history of a claim of a released label. It fails with [ErrLabelKept] if the label is kept for another
// token.
func (p *past) after(former *Record, c *Claim) (History, error) {
	now := moment()
	h := History{Past: former.Past, Minted: former.Minted, Begun: now}
	switch {
	case former.Token.equal(c.token):
		h.Begun = now.Add(-former.lived())
	case !c.keeper.given && (former.Minted || p.registry.times.Released > 0 && now.Before(former.Until)):
		return h, ErrLabelKept
	default:
		h.Past, h.Minted = randomName(), false
	}
	return h, nil
}

// lived returns how long the owner of a released label had it.
func (r *Record) lived() time.Duration { return max(r.Released.Sub(r.Begun), 0) }

// rest returns the record that remains of a claim that ends, or nil.
func (p *past) rest(c *Claim) *Record {
	if p.most == 0 {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.record()
	r.Terms, r.Unpolled, r.Released = Terms{}, false, moment()
	if keep := p.registry.times.Released; keep > 0 && !r.Minted {
		r.Until = r.Released.Add(keep)
	}
	return &r
}

// add remembers a released label, which counts for an address, and returns the changes of others because there are too
// many. A nil record is none.
func (p *past) add(r *Record, from netip.Addr) (stale []change) {
	if r == nil || p.most == 0 {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	one := p.note(r)
	if from.IsValid() && !r.Until.IsZero() {
		who := budget.Subscriber(from)
		one.from = who
		if p.of[who] = append(p.of[who], one); len(p.of[who]) > mostKept {
			oldest := p.of[who][0]
			p.unkeep(oldest)
			stale = append(stale, change{label: oldest.label})
		}
	}
	for len(p.heap) > p.most && len(stale) < 3 { // a start may leave more than that
		least := p.heap[0]
		p.drop(least)
		stale = append(stale, change{label: least.label, forget: true})
	}
	return stale
}

// note remembers a released label, even beyond the bound. The caller holds p.mu, or is the only one to know p.
func (p *past) note(r *Record) *relic {
	p.drop(p.all[r.Label])
	one := &relic{label: r.Label, lived: r.lived()}
	p.all[r.Label] = one
	heap.Push(&p.heap, one)
	return one
}

// remove takes out a label that has been claimed.
func (p *past) remove(label string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.drop(p.all[label])
}

// drop takes out a label; nil is ignored. The caller holds p.mu.
func (p *past) drop(one *relic) {
	if one == nil {
		return
	}
	p.unkeep(one)
	heap.Remove(&p.heap, one.at)
	delete(p.all, one.label)
}

// unkeep ends what a label counts for its address. The caller holds p.mu.
func (p *past) unkeep(one *relic) {
	rest := slices.DeleteFunc(p.of[one.from], func(o *relic) bool { return o == one })
	if p.of[one.from] = rest; len(rest) == 0 {
		delete(p.of, one.from)
	}
	one.from = netip.Prefix{}
}

// settle changes the records of labels, except those that are claimed meanwhile.
func (p *past) settle(stale []change) {
	r := p.registry
	for _, s := range stale {
		r.making.alone(s.label, func() {
			ctx, cancel := context.WithTimeout(context.Background(), r.times.Records)
			defer cancel()
			record, revision, err := r.options.Records.Get(ctx, s.label)
			switch {
			case errors.Is(err, ErrNoRecord): // another registry was faster
				err = nil
			case err != nil || record.Released.IsZero():
			case s.forget:
				err = r.options.Records.Delete(ctx, s.label, revision)
			default:
				record.Until = time.Time{}
				_, err = r.options.Records.Update(ctx, record, revision)
			}
			if err != nil {
				r.options.Log.Warn("released label not changed", "label", s.label, "error", err)
			}
		})
	}
}

// relics are released labels, the shortest lived first. It is a [heap.Interface].
type relics []*relic

func (h relics) Len() int           { return len(h) }
func (h relics) Less(i, j int) bool { return h[i].lived < h[j].lived }
func (h relics) Swap(i, j int)      { h[i], h[j] = h[j], h[i]; h[i].at, h[j].at = i, j }

// Push implements [heap.Interface].
func (h *relics) Push(x any) {
	one := x.(*relic)
	one.at = len(*h)
	*h = append(*h, one)
}

// Pop implements [heap.Interface].
func (h *relics) Pop() any {
	last := len(*h) - 1
	one := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return one
}
