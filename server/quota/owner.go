package quota

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// owner is an account, an address or a label with quotas.
type owner struct {
	book   *Book
	of     Of
	name   string
	limits atomic.Pointer[Limits] // nil for none
	turn   chan struct{}          // of capacity one: taken while usage is being stored
	others atomic.Pointer[[]part] // what other nodes have used; nil for nothing

	mu     sync.Mutex // guards the fields below
	used   [kinds]int64
	since  [kinds]time.Time // when the period began in which that was used
	kept   [kinds]int64     // how much of it is on disk, ahead of what is used
	warned [kinds]time.Time // the day on which it was last logged as nearly used up
	spent  [kinds]time.Time // the day on which it was last logged as used up
	uses   int              // claims that count for the owner; guarded by book.mu
}

// ErrUnkept is the error if usage cannot be stored on disk. Nothing more may be used then.
var ErrUnkept = errors.New("quota: cannot store usage")

// near reports whether usage is near a limit, if there is one.
func near(used, limit int64) bool {
	return limit > 0 && used > 0 && float64(used) >= 0.8*float64(limit)
}

// roll resets the count of a kind if its period is over. The caller holds o.mu.
func (o *owner) roll(k Kind, now time.Time) {
	if from, _ := k.window(now); !from.Equal(o.since[k]) {
		o.since[k], o.used[k], o.kept[k] = from, 0, 0
	}
}

// exceeded returns the error that the quota of a kind is used up. The caller holds o.mu.
func (o *owner) exceeded(k Kind, now time.Time) *Exceeded {
	o.book.refused[o.of][k].Add(1)
	e := &Exceeded{Of: o.of, Kind: k, After: time.Second}
	if _, to := k.window(now); !to.IsZero() {
		e.After = to.Sub(now)
	} else if k != InFlight {
		e.After = 30 * time.Second
	}
	return e
}

// news is a fact about a quota to be logged.
type news struct {
	of          Of
	name        string
	kind        Kind
	used, limit int64
	spent       bool
}

// look returns what to log about a kind of which this was used, at most once a day. The caller holds
// o.mu.
func (o *owner) look(k Kind, used, limit int64, spent bool, now time.Time) []news {
	day, _ := RequestBytesPerDay.window(now)
	said := &o.warned[k]
	if spent {
		said = &o.spent[k]
	} else if !near(used, limit) {
		return nil
	}
	if said.Equal(day) {
		return nil
	}
	*said = day
	return []news{{o.of, o.name, k, used, limit, spent}}
}

// take counts one more of a kind if the limit allows it, or if forced is set, for what has already
// happened.
func (o *owner) take(k Kind, forced bool) (err *Exceeded) {
	if o == nil {
		return nil
	}
	now := time.Now()
	limit, away := o.limit(k), int64(0)
	if limit > 0 {
		away = o.away(k, now)
	}
	o.mu.Lock()
	o.roll(k, now)
	over := limit > 0 && o.used[k]+away >= limit
	if over {
		err = o.exceeded(k, now)
	}
	if !over || forced {
		o.used[k]++
	}
	var said []news
	if limit > 0 {
		said = o.look(k, o.used[k]+away, limit, over, now)
	}
	o.mu.Unlock()
	o.book.tell(said)
	return err
}

// give counts one less of a kind.
func (o *owner) give(k Kind) {
	if o == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.used[k] = max(o.used[k]-1, 0) // the count is 0 if its minute is over
}

func (o *owner) limit(k Kind) int64 {
	if l := o.limits.Load(); l != nil {
		return l[k]
	}
	return 0
}

// little returns the usage that need not be remembered: a hundredth of a limit. To exceed a quota
// by that takes a hundred labels, addresses or crashes. Remembering all usage would let somebody
// with a new name for every request fill memory and disk.
func little(limit int64) int64 { return limit / 100 }

// pass counts n bytes in a direction, which has a kind for the day and one for the month. If there
// is a quota and a Keeper, usage is stored before it happens, except for the first little. Forced
// bytes have come already and count whatever the limit.
func (o *owner) pass(both [2]Kind, n int64, forced bool) error {
	if o == nil {
		return nil
	}
	for {
		now := time.Now()
		var said []news
		var err *Exceeded
		ahead := true
		o.mu.Lock()
		for _, k := range both {
			o.roll(k, now)
			limit := o.limit(k)
			if limit == 0 {
				continue
			}
			away := o.away(k, now)
			over := o.used[k]+away+n > limit
			if over && err == nil {
				err = o.exceeded(k, now)
			}
			if over {
				said = append(said, o.look(k, o.used[k]+away, limit, true, now)...)
			}
			ahead = ahead && (o.book.options.Keeper == nil || o.used[k]+n <= max(o.kept[k], little(limit)) || over && !forced)
		}
		counts := err == nil || forced
		if counts && ahead {
			for _, k := range both {
				o.used[k] += n
				if limit := o.limit(k); limit > 0 && err == nil {
					said = append(said, o.look(k, o.used[k]+o.away(k, now), limit, false, now)...)
				}
			}
		}
		o.mu.Unlock()
		o.book.tell(said)
		switch {
		case counts && !ahead:
			if why := o.keep(n); why != nil {
				return why
			}
		case err != nil:
			return err
		default:
			return nil
		}
	}
}

// exhausted returns an error if so few bytes are left that no request should begin: its program
// would handle it in vain.
func (o *owner) exhausted() error {
	if o == nil {
		return nil
	}
	now := time.Now()
	o.mu.Lock()
	defer o.mu.Unlock()
	for k := RequestBytesPerDay; k < kinds; k++ {
		o.roll(k, now)
		if limit := o.limit(k); limit > 0 && o.used[k]+o.away(k, now) >= limit-little(limit) {
			return o.exceeded(k, now)
		}
	}
	return nil
}

// smallestBlock is the least usage that is stored ahead, in bytes.
const smallestBlock = 64 << 10

// keep stores the use of n more bytes, and a hundredth of each quota ahead. So a whole quota takes
// about a hundred writes, and after a crash up to that hundredth counts as used.
func (o *owner) keep(n int64) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	select {
	case o.turn <- struct{}{}:
		defer func() { <-o.turn }()
	case <-ctx.Done():
		return ErrUnkept
	}
	now := time.Now()
	o.mu.Lock()
	r := o.record(now)
	var to [kinds]int64
	more := false
	for k := RequestBytesPerDay; k < kinds; k++ {
		limit := o.limit(k)
		if limit == 0 {
			continue
		}
		to[k] = o.kept[k]
		if o.used[k]+n > to[k] { // another call may have stored it meanwhile
			to[k], more = max(min(o.used[k]+n+max(little(limit), smallestBlock), limit), o.used[k]+n), true
		}
		r.Used[k.String()] = to[k]
	}
	since := o.since
	o.mu.Unlock()
	if !more {
		return nil
	}
	if err := o.book.options.Keeper.KeepUsage(ctx, r); err != nil {
		o.book.options.Log.Error("cannot store usage; refusing further use", "of", string(o.of), "name", o.name, "error", err)
		return ErrUnkept
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for k := RequestBytesPerDay; k < kinds; k++ {
		if o.since[k].Equal(since[k]) {
			o.kept[k] = max(o.kept[k], to[k])
		}
	}
	return nil
}

// record returns the usage in the form that is stored. The caller holds o.mu.
func (o *owner) record(now time.Time) Record {
	r := Record{Of: o.of, Name: o.name, Used: map[string]int64{}, Since: map[string]time.Time{}}
	for k := RequestBytesPerDay; k < kinds; k++ {
		if o.roll(k, now); o.limit(k) > 0 || o.used[k] > 0 {
			r.Used[k.String()], r.Since[k.String()] = o.used[k], o.since[k]
		}
	}
	return r
}

// idle reports whether the owner can be forgotten. The caller holds book.mu.
func (o *owner) idle(now time.Time) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.uses > 0 {
		return false
	}
	for k := range kinds {
		limit := o.limit(k)
		if o.roll(k, now); o.used[k] > little(limit) && (limit > 0 || o.kept[k] > 0) {
			return false
		}
	}
	return true
}

// Use is the usage of one quota.
type Use struct {
	Kind        Kind
	Used, Limit int64 // a limit of 0 means no bound
	// Resets is the time until the count starts again. Zero means that the kind has no period.
	Resets time.Duration
	// Near reports whether the quota is nearly used up.
	Near bool
}

// usage returns the usage of all kinds at all nodes, or only of those that have a limit.
func (o *owner) usage(all bool) (uses []Use) {
	if o == nil {
		return nil
	}
	now := time.Now()
	var away [kinds]int64
	for k := range kinds {
		away[k] = o.away(k, now)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for k := range kinds {
		o.roll(k, now)
		u := Use{Kind: k, Used: o.used[k] + away[k], Limit: o.limit(k)}
		if u.Limit == 0 && !all {
			continue
		}
		if _, to := k.window(now); !to.IsZero() {
			u.Resets = to.Sub(now)
		}
		u.Near = near(u.Used, u.Limit)
		uses = append(uses, u)
	}
	return uses
}
