package claim

// Result is the result of an answer.
type Result string

// The results of the core, as they are on the wire. Doors add "invalid".
const (
	Accepted  Result = "accepted"
	Duplicate Result = "duplicate"
	Conflict  Result = "conflict"
	Late      Result = "late"
	Unknown   Result = "unknown"
)

// Answerable fails with [ErrSessionFenced] or [ErrNoSession] if the session may no longer answer. A
// session whose claim has ended still may.
func (s *Session) Answerable() error {
	s.claim.mu.Lock()
	defer s.claim.mu.Unlock()
	return s.answerable()
}

func (s *Session) answerable() error {
	if s.gone == ErrSessionFenced || s.gone == ErrNoSession {
		return s.gone
	}
	return nil
}

// Answer ends an exchange with a, or with [Answer.More] begins its answer. The core does not
// interpret a, and the caller must not change it afterwards. fits is called with the claim locked
// and says whether a can answer the request of an open exchange; if it fails, the exchange stays
// open and Answer returns its error. A nil fits accepts every answer. If the visitor is at another
// node, Answer waits until that has the beginning of a; the result is [Late] if it does not say so.
func (d Delivery) Answer(a *Answer, fits func(*Request) error) (Result, error) {
	result, taken, err := Give(d, a, fits)
	if taken != nil {
		return taken()
	}
	return result, err
}

// give is Answer without waiting. It returns the doubt, if there is one, whether the visitor's node has the
// answer.
func (d Delivery) give(a *Answer, fits func(*Request) error) (result Result, about *doubt, err error) {
	a.hash = hashAnswer(a) // before the claim is locked: content may be long
	same := func(t tombstone) bool {
		same := t.answer == a.hash && (!a.relayed || t.parts >= 0)
		if same {
			about = d.session.tombs.doubts[d.id].shared()
		}
		return same
	}
	var given *Exchange
	var fault error
	if d.session.adopted {
		d.await()
	}
	result, err = d.settle(same, func(x *Exchange) Result {
		switch {
		case x.state == answering && a.hash == x.parts.head && x.parts.seq >= 0:
			about = d.session.tombs.doubts[d.id].shared()
			return Duplicate
		case x.state == answering:
			return Conflict
		}
		if fits != nil {
			if fault = fits(x.request); fault != nil {
				return Unknown
			}
		}
		// It counts until the visitor's door has written it.
		given = x
		x.hold.Add(a.weight())
		if a.More {
			x.begin(a)
		} else {
			x.finish(Done, a, nil)
		}
		if a.confirms == nil { // of which nothing is confirmed before that is known
			about = d.session.tombs.doubtOf(x)
		}
		return Accepted
	})
	if given != nil {
		given.hold.Relieve()
		if about != nil {
			about.watch()
		}
	}
	if fault != nil {
		return result, nil, fault
	}
	return result, about, err
}

// Abort gives up an exchange: the visitor gets [ErrHandlerFailed], or a streamed answer that
// visibly ends too soon.
func (d Delivery) Abort() (Result, error) {
	same := func(t tombstone) bool { return t.ended == Failed }
	return d.settle(same, func(x *Exchange) Result {
		x.seen = true
		x.fail(ErrHandlerFailed)
		return Accepted
	})
}

// Interim sends an interim response ahead of the answer. A nil a says only that the program has the
// request. The result is [Conflict] if the answer has begun, after too many interim responses, or
// if memory is short.
func (d Delivery) Interim(a *Answer) (Result, error) {
	none := func(tombstone) bool { return false }
	var news chan struct{}
	defer func() {
		if news != nil {
			poke(news)
		}
	}()
	return d.settle(none, func(x *Exchange) Result {
		if x.state == answering {
			return Conflict
		}
		x.seen = true
		if x.state == delivered {
			x.state = running
		}
		switch {
		case a == nil:
			return Accepted
		case !x.interims.push(a):
			return Conflict
		}
		news = x.news
		return Accepted
	})
}
