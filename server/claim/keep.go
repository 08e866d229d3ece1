package claim

import (
	"context"
	"errors"
	"net/netip"
	"time"
)

// A claim and its record change together, the record first: a claim is listed once it has a record,
// changes once the record has changed, and ends once the record is gone. If the record cannot be
// changed, nothing changes.
//
// A change that failed may have been made all the same. mend finds out: it brings the record in
// line with the claim, deletes the record of a claim that was never listed, and retries until it
// succeeds. Until then nobody else gets the label.

// keeper makes a claim and its record change together.
type keeper struct {
	claim *Claim
	entry entry
	made  chan struct{} // closed when it is known whether the claim has a record

	given bool // the operator assigned the label to the token
	// former is the record of the label's last owner, which is restored if Records do not store the
	// claim's. It is set before the claim is listed. Nil means none.
	former *Record

	// claim.mu guards what follows.
	ending   chan struct{} // closed when it is known whether the claim ends; nil while nothing tries to end it
	mending  lazyTimer
	failures int // failures in a row to bring the record in line
}

// errUnmade is the reason for which a claim that could not be stored is gone.
var errUnmade = errors.New("claim: not kept")

// create lists a new claim once its record is stored. It fails with [ErrUnavailable], with
// [ErrLabelTaken], and with [ErrLabelKept] if the label was released by another owner.
func (k *keeper) create() error {
	c := k.claim
	if err := k.entry.enter(); err != nil {
		return err
	}
	defer k.entry.leave()
	record := c.record()
	err := k.entry.put(&record)
	if errors.Is(err, ErrExists) {
		err = k.succeed()
	}
	switch {
	case err == nil:
		k.former = nil
		c.registry.past.remove(c.label)
		c.registry.making.end(c, true)
		return nil
	case errors.Is(err, ErrExists), errors.Is(err, ErrMoved):
		c.registry.making.end(c, false)
		return ErrLabelTaken
	case err == ErrLabelKept:
		c.registry.making.end(c, false)
		return err
	}
	k.log(err)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gone = errUnmade
	k.mending.after(0)
	return ErrUnavailable
}

// succeed stores the record of a new claim in place of that of a released label. The caller has the turn.
func (k *keeper) succeed() error {
	c, e := k.claim, &k.entry
	ctx, cancel := context.WithTimeout(context.Background(), e.patience)
	defer cancel()
	former, revision, err := e.records.Get(ctx, e.label)
	switch {
	case errors.Is(err, ErrNoRecord): // it was just forgotten
	case err != nil:
		return errors.Join(ErrUnavailable, err)
	case former.Released.IsZero():
		return ErrExists
	default:
		if c.history, err = c.registry.past.after(&former, c); err != nil {
			return err
		}
		c.Past, k.former = c.history.Past, &former
		e.settle(&former, revision)
	}
	record := c.record()
	return e.put(&record)
}

// change implements [Claim.Change].
func (k *keeper) change(set Settings) error {
	if err := k.entry.enter(); err != nil {
		return err
	}
	defer k.entry.leave()
	c := k.claim
	c.mu.Lock()
	gone, was := c.gone, c.record()
	record, err := set.in(was)
	if err == nil && len(set.Others) > 0 {
		err = c.registry.options.fit(record.Terms)
	}
	c.mu.Unlock()
	switch {
	case gone != nil:
		return gone
	case err != nil:
		return err
	}
	if err := k.entry.put(&record); err != nil {
		return k.refused(err)
	}
	c.mu.Lock()
	c.apply(record)
	c.mu.Unlock()
	if changed := differences(was, record); len(changed) > 0 {
		c.registry.options.note(Notice{Claim: c, By: set.By, Changed: changed, Terms: record.shown()})
	}
	return nil
}

// end ends the claim because of why, once, if due still returns true when no one else is changing
// the record. due is called with c.mu held. A nil due is always true. by is the address that has it
// end, if any.
func (k *keeper) end(why error, due func() bool, by netip.Addr) error {
	c := k.claim
	if err := k.entry.enter(); err != nil {
		return err
	}
	defer k.entry.leave()
	c.mu.Lock()
	if c.gone != nil || due != nil && !due() {
		c.mu.Unlock()
		return nil
	}
	k.ending = make(chan struct{})
	c.mu.Unlock()
	rest := c.registry.past.rest(c)
	err := k.entry.put(rest)
	if err == nil {
		stale := c.registry.past.add(rest, c.from) // before another claim of the label removes it
		c.finish(why, by)
		c.registry.past.settle(stale)
	} else {
		err = k.refused(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	close(k.ending)
	k.ending = nil
	return err
}

// awaitEnd waits until a claim that is about to end has ended or turns out to live on.
func (k *keeper) awaitEnd() error {
	c := k.claim
	c.mu.Lock()
	ending := k.ending
	c.mu.Unlock()
	return k.entry.await(ending)
}

// refused returns the error for a change that could not be stored.
func (k *keeper) refused(err error) error {
	c := k.claim
	if errors.Is(err, ErrMoved) || errors.Is(err, ErrExists) {
		c.finish(ErrMoved, netip.Addr{})
		return ErrNoClaim
	}
	k.log(err)
	c.mu.Lock()
	defer c.mu.Unlock()
	k.mendLater()
	return ErrUnavailable
}

func (k *keeper) log(err error) {
	c := k.claim
	c.registry.options.Log.Warn("claim not kept", "label", c.label, "error", err)
}

// mend brings the record in line with the claim. If that fails it retries later.
func (k *keeper) mend() {
	c := k.claim
	err := k.entry.enter()
	if err == nil {
		defer k.entry.leave()
		err = k.entry.put(k.wanted())
	}
	c.mu.Lock()
	gone := c.gone
	switch {
	case err == nil:
		k.failures = 0
	case errors.Is(err, ErrUnavailable):
		k.mendLater()
	}
	c.mu.Unlock()
	switch {
	case errors.Is(err, ErrUnavailable):
		k.log(err)
	case gone == errUnmade:
		c.registry.making.end(c, false)
	case err != nil && gone == nil:
		c.finish(ErrMoved, netip.Addr{})
	}
}

// wanted returns the record that the label should have; nil for none. The caller has the turn.
func (k *keeper) wanted() *Record {
	c := k.claim
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.gone == errUnmade:
		return k.former
	case c.gone != nil && k.entry.revision == 0:
		return nil
	case c.gone != nil: // released
		r := k.entry.record
		return &r
	}
	r := c.record()
	return &r
}

// mendLater schedules mend. The caller holds c.mu.
func (k *keeper) mendLater() {
	c := k.claim
	if c.gone != nil && c.gone != errUnmade || c.registry.closed.Load() {
		return
	}
	k.mending.after(k.pause())
	k.failures++
}

// The pauses between attempts to bring a record in line. Each is twice the previous one.
const (
	shortestPause = time.Second
	longestPause  = time.Minute
)

// pause returns how long to wait before the next attempt. The caller holds c.mu.
func (k *keeper) pause() time.Duration {
	return min(shortestPause<<min(k.failures, 10), longestPause)
}
