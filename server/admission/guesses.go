package admission

import (
	"net/netip"
	"sync"
	"time"

	"reversehttp/server/budget"
)

// Guesses bounds how many wrong tokens an address may show: ten within a minute of the first. Until
// that minute is over, no token from the address is accepted, right or wrong, so that an answer
// never reveals whether a guess was right. It counts by address and never by claim, so that nobody
// can lock out an owner at another address.
type Guesses struct {
	mu sync.Mutex // guards the fields below
	addresses[guessed]
}

// guessed counts the wrong tokens of an address.
type guessed struct {
	wrong int
	since time.Time // when the first came
}

// Bounds of wrong tokens.
const (
	mostGuesses = 10
	guessTime   = time.Minute
)

// NewGuesses returns a Guesses without any guesses.
func NewGuesses() *Guesses {
	return &Guesses{addresses: addresses[guessed]{seen: make(map[netip.Prefix]guessed)}}
}

// Judge takes the result of comparing a token that an address showed, before the result has any
// effect. It counts a wrong token. If the address showed too many before, it returns how long to
// wait, and the caller must refuse the request whether the token was right or not. Otherwise it
// returns 0, as it does for a nil Guesses and for an invalid address.
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
