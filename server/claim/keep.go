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

// errUnmade is why a claim is gone that Records did not take.
var errUnmade = errors.New("claim: not kept")

// create lists a new claim once it has a record. It fails with [ErrUnavailable], and with
// [ErrLabelTaken] where Records know the label.
func (c *Claim) create() error {
	if err := c.entry.enter(); err != nil {
		return err
	}
	defer c.entry.leave()
	record := c.record()
	err := c.entry.put(&record)
	switch {
	case err == nil:
		c.registry.made(c, true)
		return nil
	case errors.Is(err, ErrExists):
		c.registry.made(c, false)
		return ErrLabelTaken
	}
	c.logUnkept(err)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gone = errUnmade
	c.mending.after(0)
	return ErrUnavailable
}

// Change changes the settings that are given, once Records have them. It fails with
// [ErrUnavailable] where they do not take them, and nothing is changed then.
func (c *Claim) Change(s Settings) error {
	if err := c.entry.enter(); err != nil {
		return err
	}
	defer c.entry.leave()
	c.mu.Lock()
	gone, record := c.gone, s.in(c.record())
	c.mu.Unlock()
	if gone != nil {
		return gone
	}
	if err := c.entry.put(&record); err != nil {
		return c.refused(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.apply(record)
	return nil
}

// Delete ends the claim, once its record is gone. Its parked polls end with [ErrClaimDeleted],
// what is queued fails with [ErrNoClaim], and what was delivered may still be answered. It fails
// with [ErrUnavailable] where Records do not take it, and the claim lives on then.
func (c *Claim) Delete() error { return c.end(ErrClaimDeleted, nil) }

// end ends the claim for the reason why, once, and only where it is still due when nobody else
// changes the record. A nil due is always so; it is called with c.mu held.
func (c *Claim) end(why error, due func() bool) error {
	if err := c.entry.enter(); err != nil {
		return err
	}
	defer c.entry.leave()
	c.mu.Lock()
	if c.gone != nil || due != nil && !due() {
		c.mu.Unlock()
		return nil
	}
	c.ending = make(chan struct{})
	c.mu.Unlock()
	err := c.entry.put(nil)
	if err == nil {
		c.finish(why)
	} else {
		err = c.refused(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.ending)
	c.ending = nil
	return err
}

// awaitEnd waits until a claim that is about to end has ended, or lives on.
func (c *Claim) awaitEnd() error {
	c.mu.Lock()
	ending := c.ending
	c.mu.Unlock()
	return c.entry.await(ending)
}

// refused returns what to tell of a change that Records did not take.
func (c *Claim) refused(err error) error {
	if errors.Is(err, ErrMoved) || errors.Is(err, ErrExists) {
		c.finish(ErrMoved)
		return ErrNoClaim
	}
	c.logUnkept(err)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mendLater()
	return ErrUnavailable
}

func (c *Claim) logUnkept(err error) {
	c.registry.options.Log.Warn("claim not kept", "label", c.label, "error", err)
}

// mend brings the record in line with the claim, and tries again later where that fails.
func (c *Claim) mend() {
	err := c.entry.enter()
	if err == nil {
		defer c.entry.leave()
		err = c.entry.put(c.wanted())
	}
	c.mu.Lock()
	gone := c.gone
	switch {
	case err == nil:
		c.failures = 0
	case errors.Is(err, ErrUnavailable):
		c.mendLater()
	}
	c.mu.Unlock()
	switch {
	case errors.Is(err, ErrUnavailable):
		c.logUnkept(err)
	case gone == errUnmade:
		c.registry.made(c, false)
	case err != nil && gone == nil:
		c.finish(ErrMoved)
	}
}

// wanted is the record that the claim should have; nil for none.
func (c *Claim) wanted() *Record {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone != nil {
		return nil
	}
	r := c.record()
	return &r
}

// record is the record of the claim as it stands. The caller holds c.mu, or is the only one to
// know c.
func (c *Claim) record() Record { return Record{c.label, c.token, c.terms, !c.polled} }

// mendLater has the record looked at again. The caller holds c.mu.
func (c *Claim) mendLater() {
	if c.gone != nil && c.gone != errUnmade || c.registry.closed.Load() {
		return
	}
	c.mending.after(c.pause())
	c.failures++
}

// The pauses between attempts to bring a record in line; each is twice the one before.
const (
	shortestPause = time.Second
	longestPause  = time.Minute
)

// pause is how long Records are left alone. The caller holds c.mu.
func (c *Claim) pause() time.Duration {
	return min(shortestPause<<min(c.failures, 10), longestPause)
}
