package claim

import (
	"errors"
	"time"
)

// A claim and its record change together. Records are asked first, and what they took is told
// then: a claim is listed once it has a record, changes once the record did, and ends once the
// record is gone. Where they do not take it nothing changes.
//
// Whether a change that failed was made is found out by mend: it brings the record in line with
// the claim, ends the record of a claim that was never listed, and tries again until Records take
// that. Until then nobody else gets the label.

// keeper has a claim and its record change together.
type keeper struct {
	claim *Claim
	entry entry
	made  chan struct{} // closed when it is known whether the claim has a record

	// claim.mu guards what follows.
	ending   chan struct{} // closed when it is known whether the claim ends; nil while that is not asked
	mending  lazyTimer
	failures int // to bring the record in line, in a row
}

// errUnmade is why a claim is gone that Records did not take.
var errUnmade = errors.New("claim: not kept")

// create lists a new claim once it has a record. It fails with [ErrUnavailable], and with
// [ErrLabelTaken] where Records know the label.
func (k *keeper) create() error {
	c := k.claim
	if err := k.entry.enter(); err != nil {
		return err
	}
	defer k.entry.leave()
	record := c.record()
	err := k.entry.put(&record)
	switch {
	case err == nil:
		c.registry.making.end(c, true)
		return nil
	case errors.Is(err, ErrExists):
		c.registry.making.end(c, false)
		return ErrLabelTaken
	}
	k.log(err)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gone = errUnmade
	k.mending.after(0)
	return ErrUnavailable
}

// change makes set the settings of the claim, as [Claim.Change] does.
func (k *keeper) change(set Settings) error {
	if err := k.entry.enter(); err != nil {
		return err
	}
	defer k.entry.leave()
	c := k.claim
	c.mu.Lock()
	gone, record := c.gone, set.in(c.record())
	c.mu.Unlock()
	if gone != nil {
		return gone
	}
	if err := k.entry.put(&record); err != nil {
		return k.refused(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.apply(record)
	return nil
}

// end ends the claim for the reason why, once, and only where it is still due when nobody else
// changes the record. A nil due is always so; it is called with c.mu held.
func (k *keeper) end(why error, due func() bool) error {
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
	err := k.entry.put(nil)
	if err == nil {
		c.finish(why)
	} else {
		err = k.refused(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	close(k.ending)
	k.ending = nil
	return err
}

// awaitEnd waits until a claim that is about to end has ended, or lives on.
func (k *keeper) awaitEnd() error {
	c := k.claim
	c.mu.Lock()
	ending := k.ending
	c.mu.Unlock()
	return k.entry.await(ending)
}

// refused returns what to tell of a change that Records did not take.
func (k *keeper) refused(err error) error {
	c := k.claim
	if errors.Is(err, ErrMoved) || errors.Is(err, ErrExists) {
		c.finish(ErrMoved)
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

// mend brings the record in line with the claim, and tries again later where that fails.
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
		c.finish(ErrMoved)
	}
}

// wanted is the record that the claim should have; nil for none.
func (k *keeper) wanted() *Record {
	c := k.claim
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone != nil {
		return nil
	}
	r := c.record()
	return &r
}

// mendLater has the record looked at again. The caller holds c.mu.
func (k *keeper) mendLater() {
	c := k.claim
	if c.gone != nil && c.gone != errUnmade || c.registry.closed.Load() {
		return
	}
	k.mending.after(k.pause())
	k.failures++
}

// The pauses between attempts to bring a record in line; each is twice the one before.
const (
	shortestPause = time.Second
	longestPause  = time.Minute
)

// pause is how long Records are left alone. The caller holds c.mu.
func (k *keeper) pause() time.Duration {
	return min(shortestPause<<min(k.failures, 10), longestPause)
}
