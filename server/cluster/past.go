package cluster

import (
	"maps"
	"net/http"
	"sync"
	"time"

	"reversehttp/server/claim"
	"reversehttp/server/cluster/engine"
)

// past is where claims were kept that ended lately: their sessions may still answer what they hold, and learn
// there why they ended. The zero value is ready for use.
type past struct {
	mu     sync.Mutex // guards below
	homes  map[string]lastHome
	pruned time.Time
}

// lastHome is where a claim was kept, and when it ended.
type lastHome struct {
	engine.Home
	at time.Time
}

const (
	// pastTime is how long a node remembers where a claim was kept.
	pastTime = 2 * time.Minute
	// mostPast bounds how many of them it remembers.
	mostPast = 1 << 16
)

// ended notes where a claim was kept that has ended.
func (p *past) ended(label string, at engine.Home) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if p.homes == nil {
		p.homes = make(map[string]lastHome)
	}
	if now.Sub(p.pruned) > pastTime/8 {
		p.pruned = now
		maps.DeleteFunc(p.homes, func(_ string, h lastHome) bool { return now.Sub(h.at) > pastTime })
	}
	if _, known := p.homes[label]; known || len(p.homes) < mostPast {
		p.homes[label] = lastHome{at, now}
	}
}

// home returns where a claim was kept that has ended lately.
func (p *past) home(label string) (engine.Home, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	h, known := p.homes[label]
	return h.Home, known && time.Since(h.at) <= pastTime
}

// Recall implements [reversehttp/server/gateway.Elsewhere].
func (n *Node) Recall(w http.ResponseWriter, r *http.Request, label string) bool {
	home, known := n.past.home(label)
	if !known || n.isSelf(home) {
		return false
	}
	at, alive := n.peers.at(home)
	if !alive || at.Address == "" {
		return false
	}
	t := passing(n, w, r, "") // that node keeps the claim no more
	defer func() { t.content.Stop() }()
	err := errCut
	if !n.peers.isCut(processOf{home.Node, home.Run}) {
		err = t.carry(at)
	}
	switch {
	case err == nil:
		return true
	case n.peers.blame(home, err): // what its sessions held is gone with it
		err = claim.ErrNoClaim
	}
	t.fail(err)
	return true
}
