package control

import (
	"reversehttp/schema"
	"reversehttp/server/answer"
)

// inOrder keeps results of a link until the results of earlier messages of the same exchange are
// known. The zero value is ready for use.
type inOrder struct {
	exchanges map[string][]*schema.Result // nil stands for a result to be confirmed
	held      int                         // number of results that are kept
	lost      map[string]*answer.Fault    // dropped cookies of responses to be confirmed
}

// expect notes that a message of an exchange may be confirmed later. lost is a cookie of it that
// was dropped, or nil.
func (o *inOrder) expect(id string, lost *answer.Fault) {
	if lost != nil && o.lost == nil {
		o.lost = map[string]*answer.Fault{}
	}
	if lost != nil {
		o.lost[id] = lost
	}
	if o.exchanges == nil {
		o.exchanges = map[string][]*schema.Result{}
	}
	o.exchanges[id] = append(o.exchanges[id], nil)
}

// confirmed appends, to to, the result of the oldest expected message of its exchange, and the
// results that waited for it.
func (o *inOrder) confirmed(to []schema.Result, r schema.Result) []schema.Result {
	if r.Seq == 0 && o.lost != nil {
		r = without(o.lost[r.ID], r)
		delete(o.lost, r.ID)
	}
	to = append(to, r)
	if waiting := o.exchanges[r.ID]; len(waiting) > 0 {
		return o.release(to, r.ID, waiting[1:])
	}
	return to
}

// instead replaces the newest expected message by a result.
func (o *inOrder) instead(to []schema.Result, r schema.Result) []schema.Result {
	if r.Seq == 0 {
		delete(o.lost, r.ID)
	}
	waiting := o.exchanges[r.ID]
	waiting = waiting[:max(len(waiting)-1, 0)]
	if o.exchanges[r.ID] = waiting; len(waiting) == 0 {
		delete(o.exchanges, r.ID)
	}
	return o.told(to, r)
}

// told appends a result to to, or keeps it.
func (o *inOrder) told(to []schema.Result, r schema.Result) []schema.Result {
	waiting, waits := o.exchanges[r.ID]
	if !waits {
		return append(to, r)
	}
	o.exchanges[r.ID] = append(waiting, &r)
	o.held++
	return to
}

// release appends the results that no longer wait, and keeps the rest.
func (o *inOrder) release(to []schema.Result, id string, waiting []*schema.Result) []schema.Result {
	for len(waiting) > 0 && waiting[0] != nil {
		to = append(to, *waiting[0])
		waiting = waiting[1:]
		o.held--
	}
	if o.exchanges[id] = waiting; len(waiting) == 0 {
		delete(o.exchanges, id)
	}
	return to
}
