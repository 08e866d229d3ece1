package admission

import (
	"net/netip"
	"sync"
	"time"

	"reversehttp/server/budget"
)

// Guesses bounds how many wrong tokens an address may show: ten within a minute of the first. Until
// that minute is over no token from there is taken, right or wrong, so that nobody learns from an
// answer whether a guess was right. It counts by address and never by claim: nobody can lock the owner
// of one out who is elsewhere.
type Guesses struct {
	mu sync.Mutex // guards below
	addresses[guessed]
}

// guessed is what an address did.
type guessed struct {
	wrong int
	since time.Time // when the first came
}

// Bounds of wrong tokens.
const (
	mostGuesses = 10
	guessTime   = time.Minute
)

// NewGuesses returns a Guesses that has seen none.
func NewGuesses() *Guesses {
	return &Guesses{addresses: addresses[guessed]{seen: make(map[netip.Prefix]guessed)}}
}

// Judge is called with what the comparison of a token said that an address shows, and before anybody
// hears of that. It counts a wrong one, and returns how long to wait where the address showed too many
// before: then the caller says that, whatever the comparison said. A nil Guesses never does, nor for an
// address that is not valid.
func (g *Guesses) Judge(from netip.Addr, right bool) (wait time.Duration) {
	if g == nil || !from.IsValid() {
		return 0
	}
	who, now := budget.Subscriber(from), time.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	did, known := g.seen[who]
	if known && now.Sub(did.since) >= guessTime {
		delete(g.seen, who)
		did, known = guessed{}, false
	}
	switch {
	case did.wrong >= mostGuesses:
		return guessTime - now.Sub(did.since)
	case right:
		return 0
	case !known:
		g.makeRoom(now, func(did guessed) bool { return now.Sub(did.since) >= guessTime })
		did.since = now
	}
	did.wrong++
	g.seen[who] = did
	return 0
}
