package gateway

import (
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

// upkeep looks now and then whether accounts changed, and ends claims that may not go on.
type upkeep struct {
	g        *Gateway
	admitted *admission.Admission
	mu       sync.Mutex    // held while it looks; guards what follows up to stop
	began    bool          // it has looked
	ends     bool          // some claims may have to end, whatever changes
	again    bool          // some could not
	stop     chan struct{} // closed by Close
	once     sync.Once
	over     sync.WaitGroup
}

// start begins it, where there are accounts, or claims of some that end. What was kept from before is looked at first.
func (u *upkeep) start() {
	u.stop = make(chan struct{})
	u.ends = u.admitted.Accounts.Ends() || slices.ContainsFunc(u.g.options.Kept, func(k claim.Kept) bool { return terms.MakerOf(k.Terms).Until > 0 })
	if u.admitted.Accounts == nil && u.g.quotas == nil && !u.ends {
		return
	}
	u.look()
	u.over.Go(func() {
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

// look reads the accounts again where their file changed, and ends the claims that may not go on.
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
		u.g.options.Log.Warn("claim ended: its account is gone, or its label is another's", "label", label)
		u.again = c.Delete() != nil || u.again // the next look tries again
	}
}

func (u *upkeep) close() {
	u.once.Do(func() { close(u.stop) })
	u.over.Wait()
}

// LookAtAccounts reads the accounts again now, where their file changed.
func (g *Gateway) LookAtAccounts() { g.upkeep.look() }

// newReserved returns what reports whether a label may not be claimed with a token. One that an account owns by its whole name
// is the account's, even where nobody else may have it.
func newReserved(o *Options) func(label, token string) bool {
	usual := admission.NewReserved(o.Reserved, o.Owned)
	return func(label, token string) bool {
		_, listed := o.Owned[label]
		return (listed || !o.Accounts.Accounts().Names(label)) && usual(label, token)
	}
}
