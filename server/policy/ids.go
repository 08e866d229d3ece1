package policy

import (
	"crypto/sha256"
	"time"

	"reversehttp/schema"
	"reversehttp/server/problem"
	"reversehttp/server/visit"
)

// Bounds of the webhooks that a claim remembers.
const (
	mostIDs  = 1_024
	idTime   = 24 * time.Hour
	idWeight = 128
	// idAgain is how long to wait until a webhook that is being handled may be sent again.
	idAgain = time.Second
)

// ids are the webhooks of a claim that are being handled, and those that were. A guard's mutex guards them.
type ids struct {
	known   map[idKey]bool // whether it was handled
	handled []handledID    // oldest first
}

// idKey is a hash by which an id of any length is remembered.
type idKey [16]byte

type handledID struct {
	key idKey
	at  time.Time
}

// once passes on an unknown webhook, and answers or refuses a known one. A webhook is known while it is handled, and
// for a while after the handler has accepted it.
func (g *guard) once(id string) visit.Verdict {
	sum := sha256.Sum256([]byte(id))
	key := idKey(sum[:16])
	g.mu.Lock()
	defer g.mu.Unlock()
	g.forget(time.Now())
	done, known := g.ids.known[key]
	switch {
	case known && done:
		return visit.Verdict{Answer: handled()}
	case known:
		return visit.Verdict{Refuse: &problem.Problem{Code: schema.CodeWebhookRunning, After: idAgain}}
	}
	for !g.grow(idWeight) {
		if len(g.ids.handled) == 0 {
			return visit.Verdict{Refuse: &problem.Problem{Code: schema.CodeQueueFull}}
		}
		g.forgetOldest()
	}
	if g.ids.known == nil {
		g.ids.known = make(map[idKey]bool)
	}
	g.ids.known[key] = false
	return visit.Verdict{Ended: func(status int) { g.handledOrNot(key, status >= 200 && status < 300) }}
}

// handledOrNot remembers a webhook that the handler took, and forgets one that it did not take.
func (g *guard) handledOrNot(key idKey, took bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !took {
		delete(g.ids.known, key)
		g.shrink(idWeight)
		return
	}
	g.ids.known[key] = true
	g.ids.handled = append(g.ids.handled, handledID{key, time.Now()})
	g.forget(time.Now())
}

// forget forgets webhooks that are too many or too old. The caller holds g.mu.
func (g *guard) forget(now time.Time) {
	for len(g.ids.handled) > mostIDs || len(g.ids.handled) > 0 && now.Sub(g.ids.handled[0].at) >= idTime {
		g.forgetOldest()
	}
}

// forgetOldest forgets the webhook that was handled first. The caller holds g.mu.
func (g *guard) forgetOldest() {
	delete(g.ids.known, g.ids.handled[0].key)
	if g.ids.handled = g.ids.handled[1:]; len(g.ids.handled) == 0 {
		g.ids.handled = nil
	}
	g.shrink(idWeight)
}
