package quota

import (
	"context"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Options configure a [Book].
type Options struct {
	// Account returns the limits of an account, or nil for none. listed says that the account is
	// one of a bounded number, for which everything is counted.
	Account func(name string) (l *Limits, listed bool)
	// Label returns the limits of a label that an account claimed. account is empty for a
	// stranger's label.
	Label func(account string) *Limits
	// Address has the limits of a stranger's address. Nil means none.
	Address *Limits
	// Keeper stores usage beyond the process. Nil stores nothing.
	Keeper Keeper
	// Kept is the usage that an earlier process stored.
	Kept []Record
	// Shared is where the nodes of a cluster keep what each of them has used. Nil means that this
	// process is alone.
	Shared Shared
	Log    *slog.Logger
}

// Keeper stores usage. Its methods return once that is on disk.
type Keeper interface {
	KeepUsage(ctx context.Context, all ...Record) error
}

// Record is the usage of one owner.
type Record struct {
	Of    Of                   `json:"of"`
	Name  string               `json:"name"`
	Used  map[string]int64     `json:"used"`
	Since map[string]time.Time `json:"since"`
}

// Bounds of what is remembered, for each of accounts, addresses and labels.
const (
	mostOwners = 100_000
	patience   = 5 * time.Second
	pruneEvery = time.Minute
)

// others is the name of the owner that all further owners share if there are too many to remember.
// Forgetting owners instead would let somebody with many addresses start again with each, and
// refusing them would lock people out.
const others = "*"

// key names an owner.
type key struct {
	of   Of
	name string
}

// Book counts the usage of all quotas. Nil counts nothing.
type Book struct {
	options Options
	refused map[Of]*[kinds]atomic.Int64 // the map does not change
	most    int                         // remembered owners of each kind

	ledger *ledger // with other nodes; nil without any

	mu     sync.RWMutex // guards the fields below, and owner.uses
	owners map[key]*owner
	count  map[Of]int
	claims map[string]*counted
	pruned map[Of]time.Time

	untold atomic.Bool // news is not empty
	newsMu sync.Mutex  // guards news
	news   []news
}

// counted is a claim that is counted.
type counted struct {
	maker, label *owner
	by           Maker
}

// New returns a book that starts from the usage in [Options.Kept].
func New(o Options) *Book {
	b := &Book{
		options: o, most: mostOwners, refused: map[Of]*[kinds]atomic.Int64{Account: {}, Address: {}, Label: {}},
		owners: make(map[key]*owner), count: make(map[Of]int), claims: make(map[string]*counted), pruned: make(map[Of]time.Time),
	}
	now := time.Now()
	for _, r := range o.Kept {
		b.restore(r, now)
	}
	if o.Shared != nil {
		newLedger(b)
	}
	return b
}

// restore goes on from what an earlier process has used. The caller holds b.mu, or is the only one
// with access to b.
func (b *Book) restore(r Record, now time.Time) {
	one := &owner{}
	for k := RequestsPerMinute; k < kinds; k++ {
		if from, _ := k.window(now); r.Since[k.String()].Equal(from) {
			one.used[k], one.since[k] = r.Used[k.String()], from
		}
	}
	if one.used == [kinds]int64{} {
		return
	}
	had := b.owner(r.Of, r.Name, nil)
	for k := range kinds { // several records may share an owner
		had.used[k], had.since[k] = max(had.used[k], one.used[k]), one.since[k]
		had.kept[k] = had.used[k]
	}
}

// owner returns the owner with a name, which it creates if it is missing. If there are too many
// owners, it returns the shared one. The caller holds b.mu, or is the only one with access to b.
func (b *Book) owner(of Of, name string, l *Limits) *owner {
	k := key{of, name}
	o := b.owners[k]
	if o == nil && b.count[of] >= b.most && name != others {
		if now := time.Now(); now.Sub(b.pruned[of]) >= pruneEvery {
			b.pruned[of] = now
			for k, o := range b.owners {
				if k.of == of && o.idle(now) {
					delete(b.owners, k)
					b.count[of]--
				}
			}
		}
		if b.count[of] >= b.most {
			return b.owner(of, others, l)
		}
	}
	if o == nil {
		o = &owner{book: b, of: of, name: name, turn: make(chan struct{}, 1)}
		b.owners[k] = o
		b.count[of]++
		b.ledger.join(k, o)
	}
	o.limits.Store(l)
	return o
}

// Maker is who made a claim: an account, or a stranger at an address.
type Maker struct {
	Account string
	Address netip.Prefix
}

// maker returns the owner for a maker, or nil if nothing is counted for it. The caller holds b.mu.
func (b *Book) maker(m Maker) *owner {
	if m.Account != "" {
		if l, listed := b.options.Account(m.Account); listed || l.any() {
			return b.owner(Account, m.Account, l)
		}
		return nil
	}
	if l := b.options.Address; l.any() && m.Address.IsValid() {
		return b.owner(Address, m.Address.String(), l)
	}
	return nil
}

// Claim counts a claim of a label for its maker. It returns an error if the maker has too many
// claims, unless forced is set. alone reports that the claim need not count for an address as well.
// release must be called when the claim ends.
func (b *Book) Claim(label string, m Maker, forced bool) (alone bool, release func(), err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := &counted{maker: b.maker(m), by: m}
	if err := c.maker.take(Claims, forced); err != nil && !forced {
		return false, nil, err
	}
	if l := b.options.Label(m.Account); l.any() {
		c.label = b.owner(Label, label, l)
	}
	for _, o := range c.both() {
		o.count(1)
	}
	b.claims[label] = c
	return m.Account != "" && c.maker != nil && c.maker.limit(Claims) > 0, func() { b.release(label, c) }, nil
}

// both returns the owners that a claim counts for. Either may be nil.
func (c counted) both() [2]*owner { return [2]*owner{c.maker, c.label} }

// count adds n to the claims of the owner. The caller holds book.mu.
func (o *owner) count(n int) {
	if o != nil {
		o.uses += n
	}
}

func (b *Book) release(label string, c *counted) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.claims[label] == c {
		delete(b.claims, label)
	}
	c.maker.give(Claims)
	for _, o := range c.both() {
		o.count(-1)
	}
}

// of returns the owners that the claim of a label counts for now, if any.
func (b *Book) of(label string) (c counted) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if one := b.claims[label]; one != nil {
		c = *one
	}
	return c
}

// Session counts a session of a label. It returns an error if there are too many. release must be
// called when the session ends.
func (b *Book) Session(label string) (release func(), err error) {
	c := b.of(label)
	if err := c.take(Sessions); err != nil {
		return nil, err
	}
	return func() { c.give(Sessions) }, nil
}

// take counts one more of a kind for both owners, or for neither.
func (c counted) take(k Kind) error {
	if err := c.maker.take(k, false); err != nil {
		return err
	}
	if err := c.label.take(k, false); err != nil {
		c.maker.give(k)
		return err
	}
	return nil
}

func (c counted) give(k Kind) {
	c.maker.give(k)
	c.label.give(k)
}

// Refresh looks up the limits of accounts and their labels again.
func (b *Book) Refresh() {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for k, o := range b.owners {
		if k.of == Account && k.name != others {
			l, _ := b.options.Account(k.name)
			o.limits.Store(l)
		}
	}
	for label, c := range b.claims {
		l := b.options.Label(c.by.Account)
		switch {
		case c.label != nil:
			c.label.limits.Store(l)
		case l.any():
			c.label = b.owner(Label, label, l)
			c.label.uses++
		}
	}
}

// Usage returns the usage of a maker, and of at most so many of its labels, with what other nodes
// have used. The labels are those whose claims count here.
func (b *Book) Usage(m Maker, most int) (uses []Use, labels map[string][]Use) {
	if b == nil {
		return nil, nil
	}
	b.mu.Lock()
	o := b.maker(m)
	of := map[string]*owner{}
	for label, c := range b.claims {
		if c.label != nil && c.maker == o && o != nil {
			of[label] = c.label
		}
	}
	b.mu.Unlock()
	names := slices.Sorted(maps.Keys(of))
	labels = map[string][]Use{}
	for _, label := range names[:min(len(names), most)] {
		labels[label] = of[label].usage(false)
	}
	return o.usage(m.Account != ""), labels
}

// Account returns the usage of an account.
func (b *Book) Account(name string) []Use {
	b.mu.Lock()
	o := b.maker(Maker{Account: name})
	b.mu.Unlock()
	return o.usage(true)
}

// Refusals calls each with the number of refusals for each quota.
func (b *Book) Refusals(each func(of Of, k Kind, n int64)) {
	for _, of := range []Of{Account, Address, Label} {
		for k := range kinds {
			each(of, k, b.refused[of][k].Load())
		}
	}
}

// tell queues news for the log. It does not log, because the caller may hold locks.
func (b *Book) tell(all []news) {
	if len(all) == 0 {
		return
	}
	b.newsMu.Lock()
	defer b.newsMu.Unlock()
	if len(b.news) < mostNews {
		b.news = append(b.news, all...)
	}
	b.untold.Store(true)
}

// mostNews bounds the queued news.
const mostNews = 1000

// Tell logs which quotas are used up or nearly so. The caller must hold no lock.
func (b *Book) Tell() {
	if b == nil || !b.untold.Swap(false) {
		return
	}
	b.newsMu.Lock()
	all := b.news
	b.news = nil
	b.newsMu.Unlock()
	for _, n := range all {
		message := "quota nearly used up"
		if n.spent {
			message = "quota used up"
		}
		b.options.Log.Warn(message, "of", string(n.of), "name", n.name, "quota", n.kind.String(), "used", n.used, "limit", n.limit)
	}
}

// Close stores the exact usage. Nothing may be counted afterwards, and [Book.Publish] must have
// returned.
func (b *Book) Close() {
	b.Tell()
	if b == nil {
		return
	}
	b.ledger.close()
	if b.options.Keeper == nil {
		return
	}
	now := time.Now()
	var all []Record
	b.mu.Lock()
	for _, o := range b.owners {
		o.mu.Lock()
		if r := o.record(now); len(r.Used) > 0 {
			all = append(all, r)
		}
		o.mu.Unlock()
	}
	b.mu.Unlock()
	slices.SortFunc(all, func(a, b Record) int { return strings.Compare(string(a.Of)+a.Name, string(b.Of)+b.Name) })
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := b.options.Keeper.KeepUsage(ctx, all...); err != nil {
		b.options.Log.Error("cannot store exact usage", "error", err)
	}
}
