package gateway

import (
	"context"
	"math"
	"slices"
	"sync"
	"time"

	"reversehttp/server/account"
	"reversehttp/server/admission"
	"reversehttp/server/audit"
	"reversehttp/server/claim"
	"reversehttp/server/terms"
)

// upkeep checks from time to time whether accounts changed, and ends claims that are no longer
// allowed.
type upkeep struct {
	g        *Gateway
	admitted *admission.Admission
	mu       sync.Mutex    // held during a look; guards the fields up to stop
	began    bool          // the first look is done
	ends     bool          // some claims may have to end even if no file changes
	again    bool          // some claims could not be ended
	stop     chan struct{} // closed by Close
	once     sync.Once
	over     sync.WaitGroup
}

// start starts the checks if there are accounts, or claims whose account ends. The first check
// covers claims restored from disk.
func (u *upkeep) start() {
	u.stop = make(chan struct{})
	u.ends = u.admitted.Accounts.Ends() || slices.ContainsFunc(u.g.options.Kept, func(k claim.Kept) bool { return terms.MakerOf(k.Terms).Until > 0 })
	if u.admitted.Accounts == nil && u.g.quotas == nil && !u.ends {
		return
	}
	u.look()
	ctx, cancel := context.WithCancel(context.Background())
	u.over.Go(func() { u.g.quotas.Publish(ctx) })
	u.over.Go(func() {
		defer cancel()
		tick := time.NewTicker(account.LookEvery)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				u.look()
			case <-u.stop:
				return
			}
		}
	})
}

// look reads the accounts again if their file changed, and ends the claims that are no longer
// allowed.
func (u *upkeep) look() {
	u.mu.Lock()
	defer u.mu.Unlock()
	was := u.admitted.Accounts.Accounts()
	u.admitted.Accounts.Look()
	if u.admitted.Accounts.Accounts() != was {
		u.g.quotas.Refresh()
	}
	u.g.quotas.Tell()
	for _, name := range account.KeysChanged(was, u.admitted.Accounts.Accounts()) {
		u.g.options.Audit.Note(audit.Entry{Event: audit.KeysChanged, Account: name})
	}
	if u.admitted.Accounts.Accounts() == was && u.began && !u.ends && !u.again {
		return
	}
	u.began, u.again = true, false
	for _, label := range u.g.registry.Labels(math.MaxInt) {
		c := u.g.registry.Lookup(label)
		if c == nil || u.admitted.Stays(c) {
			continue
		}
		u.g.options.Log.Warn("claim ended: its account no longer exists, or its label belongs to another", "label", label)
		u.again = c.Delete() != nil || u.again // the next look tries again
	}
}

// takeDown ends the claim of a label that was taken down elsewhere, if it is here.
func (u *upkeep) takeDown(label string) {
	select {
	case <-u.stop:
	default:
		u.over.Go(func() {
			if c := u.g.registry.Lookup(label); c != nil {
				_ = claim.TakeDown(c) // which logs why, if it fails
			}
		})
	}
}

func (u *upkeep) close() {
	u.once.Do(func() { close(u.stop) })
	u.over.Wait()
}

// LookAtAccounts reads the accounts again now if their file changed.
func (g *Gateway) LookAtAccounts() { g.upkeep.look() }

// newReserved returns a function that reports whether a label may not be claimed with a token. A
// label that an account lists by its whole name belongs to the account, even if it is reserved for
// everybody else.
func newReserved(o *Options) func(label, token string) bool {
	usual := admission.NewReserved(o.Reserved, o.Owned)
	return func(label, token string) bool {
		_, listed := o.Owned[label]
		return (listed || !o.Accounts.Accounts().Names(label)) && usual(label, token)
	}
}
