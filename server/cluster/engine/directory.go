package engine

import (
	"encoding/json"
	"log/slog"
	"maps"
	"sync"
	"time"
)

// directory is a node's copy of who is home of each label. Lookups take no lock.
type directory struct {
	log   *slog.Logger
	homes sync.Map // label → *place

	mu      sync.Mutex // held while the copy changes, and while changed is called
	changed func(Change)
	past    map[string]relic // of released labels
	round   uint64           // counts how often everything was read
	lost    bool             // the engine lost data before this round
	known   map[who]*who
}

// who is a run of a node.
type who struct {
	Node string `json:"home"`
	Run  string `json:"run"`
}

// place is where a claim is kept.
type place struct {
	*who  // shared by all places of that run
	term  uint64
	round uint64 // in which it was last seen; guarded by directory.mu
}

// relic is a released label.
type relic struct {
	term  uint64
	at    time.Time // when it was released, by the clock of the engine
	round uint64    // in which it was last seen
}

// released calls each for the labels that were released until a time, until it returns false.
func (d *directory) released(until time.Time, each func(label string, revision uint64) bool) {
	d.mu.Lock()
	past := maps.Clone(d.past)
	d.mu.Unlock()
	for label, one := range past {
		if !one.at.After(until) && !each(label, one.term) {
			return
		}
	}
}

func (p *place) home() Home { return Home{Node: p.Node, Run: p.Run, Term: p.term} }

// Home implements [Engine].
func (d *directory) Home(label string) (Home, bool) {
	p, ok := d.homes.Load(label)
	if !ok {
		return Home{}, false
	}
	return p.(*place).home(), true
}

// Homes implements [Engine].
func (d *directory) Homes(each func(label string, h Home) bool) {
	d.homes.Range(func(label, p any) bool { return each(label.(string), p.(*place).home()) })
}

// Changed implements [Engine].
func (d *directory) Changed(f func(Change)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.Homes(func(label string, h Home) bool {
		f(Change{Label: label, Home: h})
		return true
	})
	d.changed = f
}

// begin implements [sink].
func (d *directory) begin(lost bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.round++
	d.lost = lost
}

// take implements [sink]. A released label has a record and no home.
func (d *directory) take(e event) {
	var r struct {
		who
		ReleasedMs int64 `json:"releasedMs"`
	}
	if e.value != nil && (json.Unmarshal(e.value, &r) != nil || r.Node == "") {
		d.log.Warn("skipped an unreadable record of a claim", "label", e.key, "revision", e.revision)
		return
	}
	kept := e.value != nil && r.ReleasedMs == 0
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.past, e.key)
	if e.value != nil && !kept {
		if d.past == nil {
			d.past = make(map[string]relic)
		}
		d.past[e.key] = relic{e.revision, e.at, d.round}
	}
	old, _ := d.homes.Load(e.key)
	was, _ := old.(*place)
	switch {
	case kept && was != nil && was.term == e.revision && *was.who == r.who:
		was.round = d.round
	case kept:
		p := &place{d.one(r.who), e.revision, d.round}
		d.homes.Store(e.key, p)
		d.tell(Change{Label: e.key, Home: p.home(), Lost: d.lost && was != nil && was.term > e.revision})
	case was != nil:
		d.remove(e.key, was, false)
	}
}

// whole implements [sink].
func (d *directory) whole() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.homes.Range(func(label, p any) bool {
		if p := p.(*place); p.round != d.round {
			d.remove(label.(string), p, d.lost)
		}
		return true
	})
	maps.DeleteFunc(d.past, func(_ string, one relic) bool { return one.round != d.round })
	d.lost = false
	living := make(map[who]*who) // forget runs that keep nothing
	d.homes.Range(func(_, p any) bool {
		w := p.(*place).who
		living[*w] = w
		return true
	})
	d.known = living
}

// remove takes a label out. The caller holds d.mu.
func (d *directory) remove(label string, was *place, lost bool) {
	d.homes.Delete(label)
	d.tell(Change{Label: label, Home: was.home(), Ended: true, Lost: lost})
}

// one returns the shared copy of w. The caller holds d.mu.
func (d *directory) one(w who) *who {
	if d.known == nil {
		d.known = make(map[who]*who)
	}
	if d.known[w] == nil {
		d.known[w] = &w
	}
	return d.known[w]
}

// tell calls changed. The caller holds d.mu.
func (d *directory) tell(c Change) {
	if d.changed != nil {
		d.changed(c)
	}
}
