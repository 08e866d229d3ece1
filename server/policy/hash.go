package policy

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"net/netip"
	"runtime"
	"sync"
	"time"

	"golang.org/x/crypto/bcrypt"

	"reversehttp/server/admission"
	"reversehttp/server/budget"
)

// lane bounds how many slow hashes are computed at a time, and how many wait and for how long. It bounds those of each owner too, so
// that nobody keeps the others out, not even with right passwords.
type lane struct {
	running, waiting chan struct{}

	mu sync.Mutex // guards of
	of map[any]int
}

const (
	mostWaiting   = 64
	mostWaitingOf = 16
	longestWait   = 5 * time.Second
)

func newLane() *lane {
	return &lane{running: make(chan struct{}, max(runtime.GOMAXPROCS(0)/4, 1)), waiting: make(chan struct{}, mostWaiting), of: make(map[any]int)}
}

// enter counts one that waits for each of its owners, and reports whether each may have one more.
func (l *lane) enter(owners []any) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, o := range owners {
		if l.of[o] >= mostWaitingOf {
			return false
		}
	}
	for _, o := range owners {
		l.of[o]++
	}
	return true
}

// leave takes back what enter counted.
func (l *lane) leave(owners []any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, o := range owners {
		if l.of[o]--; l.of[o] == 0 {
			delete(l.of, o)
		}
	}
}

// do calls f in its turn, and reports whether the turn came. The call counts for its owners, which are distinct.
func (l *lane) do(f func(), owners ...any) bool {
	if !l.enter(owners) {
		return false
	}
	defer l.leave(owners)
	select {
	case l.waiting <- struct{}{}:
		defer func() { <-l.waiting }()
	default:
		return false
	}
	timer := time.NewTimer(longestWait)
	defer timer.Stop()
	select {
	case l.running <- struct{}{}:
		defer func() { <-l.running }()
	case <-timer.C:
		return false
	}
	f()
	return true
}

// Passwords that are set and those that are checked have a lane each, so that neither keeps the other out; and an
// address sets two a second, and forty at once.
var (
	setting, checking = newLane(), newLane()
	settingRate       = admission.NewRate(2)
)

// ownersOf returns the owners of a hash that is computed for an address: none if the address is unknown.
func ownersOf(from netip.Addr) []any {
	if !from.IsValid() {
		return nil
	}
	return []any{budget.Subscriber(from)}
}

// hashPassword returns the hash of a password that an address sets. It reports false if too many are being set.
func hashPassword(password string, from netip.Addr) (hash string, ok bool) {
	if !settingRate.Allow(from) {
		return "", false
	}
	ok = setting.do(func() {
		h, err := bcrypt.GenerateFromPassword([]byte(password), Cost)
		hash = string(h)
		if err != nil {
			hash = "" // it is too long, which was checked
		}
	}, ownersOf(from)...)
	return hash, ok && hash != ""
}

// Cost is the cost of bcrypt for passwords that are set from now on. Only tests, which set many under the race
// detector, lower it, before anything else runs.
var Cost = bcrypt.DefaultCost

// compare compares a hash with a password. Tests count the calls.
var compare = bcrypt.CompareHashAndPassword

// absentUser returns a hash with which passwords of unknown users are compared, so that they take as long as others.
var absentUser = sync.OnceValue(func() []byte {
	h, _ := bcrypt.GenerateFromPassword([]byte(rand.Text()), Cost)
	return h
})

// proven remembers the right password of one user for a while, as a fast hash with a key of this process. It
// belongs to a policy and ends with it.
type proven struct {
	mu    sync.Mutex // guards below
	sum   [sha256.Size]byte
	until time.Time
}

// provenTime is for how long a password need not be checked again.
const provenTime = 10 * time.Minute

var provenKey = []byte(rand.Text())

func sumOf(password string) (sum [sha256.Size]byte) {
	h := hmac.New(sha256.New, provenKey)
	h.Write([]byte(password))
	h.Sum(sum[:0])
	return sum
}

// has reports whether a password was right before.
func (p *proven) has(password string) bool {
	sum := sumOf(password)
	p.mu.Lock()
	defer p.mu.Unlock()
	return hmac.Equal(p.sum[:], sum[:]) && time.Now().Before(p.until)
}

// keep notes that a password is right.
func (p *proven) keep(password string) {
	sum := sumOf(password)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sum, p.until = sum, time.Now().Add(provenTime)
}
