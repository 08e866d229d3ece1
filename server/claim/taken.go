package claim

// An answer to a visitor at another node is accepted once that node, their entry, has the beginning of it:
// until then the way there may break, and the entry asks another home, which may ask a program again.

// Give is [Delivery.Answer], except that it does not wait for another node at which the visitor is. If it
// has to, the result is [Accepted] or [Duplicate], and taken is not nil: it waits, and returns the result and
// the error of [Delivery.Answer]. Nobody needs to call it.
func Give(d Delivery, a *Answer, fits func(*Request) error) (result Result, taken func() (Result, error), err error) {
	result, doubt, err := d.give(a, fits)
	if doubt == nil {
		return result, nil, err
	}
	type judgement struct {
		result Result
		err    error
	}
	judged := make(chan judgement, 1)
	doubt.then(result, func(result Result, err error) { judged <- judgement{result, err} })
	return result, func() (Result, error) {
		j := <-judged
		return j.result, j.err
	}, nil
}

// doubt is an accepted answer whose entry has not said yet that it has the beginning. Repeats of the answer
// share it. claim.mu guards all but x and tombs.
type doubt struct {
	x      *Exchange
	tombs  *tombstones
	over   bool
	result Result
	err    error
	waits  []func()
}

// mostRepeats is how many repeats of an answer share a doubt. A further one is a [Duplicate] at once.
const mostRepeats = 16

// shared returns u for one more repeat of its answer, or nil if it has too many or is nil. The caller holds claim.mu.
func (u *doubt) shared() *doubt {
	if u == nil || len(u.waits) > mostRepeats {
		return nil
	}
	return u
}

// watch ends the doubt once the entry, or its silence, has said whether it has the beginning: also if the
// program has left.
func (u *doubt) watch() {
	u.x.request.Entry.Taken(func(taken bool) {
		c := u.x.claim
		c.mu.Lock()
		u.over = true
		u.result, u.err = u.judge(taken)
		if u.tombs.doubts[u.x.id] == u {
			delete(u.tombs.doubts, u.x.id)
		}
		waits := u.waits
		c.mu.Unlock()
		for _, f := range waits {
			f()
		}
	})
}

// then calls f, once the doubt is over, with the result of a message whose result is known but for the doubt.
func (u *doubt) then(result Result, f func(Result, error)) {
	end := func() {
		if u.result != Accepted {
			result = u.result
		}
		f(result, u.err)
	}
	u.x.claim.mu.Lock()
	over := u.over
	if !over {
		u.waits = append(u.waits, end)
	}
	u.x.claim.mu.Unlock()
	if over {
		end()
	}
}

// judge returns the result of an answer, by whether its entry has the beginning. The caller holds claim.mu.
func (u *doubt) judge(taken bool) (Result, error) {
	switch {
	case taken:
		return Accepted, nil
	case u.x.claim.gone == ErrMoved:
		return Unknown, ErrMoved // the entry asks the new home, where the answer is as good
	}
	if u.tombs.doubts[u.x.id] == u { // and no later exchange of that name
		u.tombs.miss(u.x.id)
	}
	u.x.abandon() // unless it has ended
	return Late, nil
}

// confirmOnce has the door of a link confirm a message once the doubt about its answer is over. If the claim
// has moved by then, nothing is confirmed: the program sends the answer to its new home.
func (l *Link) confirmOnce(u *doubt, result Result) {
	l.door.Expected(u.x.id)
	u.then(result, func(result Result, err error) {
		if err == nil {
			l.door.Confirmed(Confirmation{ID: u.x.id, Whole: true, Result: result})
		}
	})
}

// await waits, before the first part of an answer is confirmed, until the entry has its beginning. The
// exchange ends if it has not.
func (p *parts) await() {
	x := p.x
	if x.request.Entry == nil || p.awaited {
		return
	}
	p.awaited = true
	said := make(chan bool, 1)
	x.request.Entry.Taken(func(taken bool) { said <- taken })
	if !<-said {
		x.claim.mu.Lock()
		defer x.claim.mu.Unlock()
		x.abandon()
	}
}
