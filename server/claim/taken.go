package claim

// An answer to a visitor at another node is accepted once that node, their entry, has the beginning of it:
// until then the way there may break, and the entry asks another home, which may ask a program again.

// Give is [Delivery.Answer], except that it does not wait for another node at which the visitor is. If it
// has to, the result is [Accepted], and taken is not nil: it waits, and returns the result and the error of
// [Delivery.Answer]. It has to be called once.
func Give(d Delivery, a *Answer, fits func(*Request) error) (result Result, taken func() (Result, error), err error) {
	result, x, err := d.give(a, fits)
	if err != nil || result != Accepted || x.request.Entry == nil {
		return result, nil, err
	}
	said := make(chan bool, 1)
	x.request.Entry.Taken(func(taken bool) { said <- taken })
	return result, func() (Result, error) { return judgeTaken(x, <-said) }, nil
}

// judgeTaken returns the result of an answer, by whether its entry said that it has it.
func judgeTaken(x *Exchange, taken bool) (Result, error) {
	if taken {
		return Accepted, nil
	}
	c := x.claim
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone == ErrMoved {
		return Unknown, ErrMoved // the entry asks the new home, where the answer is as good
	}
	x.session.tombs.miss(x.id)
	x.abandon() // unless it has ended
	return Late, nil
}

// takenLater has the door of a link confirm an answer once its entry has it, and reports whether that is to
// come. If the claim has moved by then, nothing is confirmed: the program sends the answer to its new home.
func (l *Link) takenLater(id string, x *Exchange) bool {
	if x.request.Entry == nil {
		return false
	}
	l.door.Expected(id)
	x.request.Entry.Taken(func(taken bool) {
		if result, err := judgeTaken(x, taken); err == nil {
			l.door.Confirmed(Confirmation{ID: id, Whole: true, Result: result})
		}
	})
	return true
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
