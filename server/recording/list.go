package recording

import (
	"bytes"
	"slices"
	"strings"

	"reversehttp/schema"
	"reversehttp/server/claim"
)

// Filter selects recordings. The zero value passes all.
type Filter struct {
	// Method is a request method, in any case. Empty means any.
	Method string
	// LeastStatus and MostStatus bound the status of the response. Zero passes any status, and
	// responses that have not begun.
	LeastStatus, MostStatus int
	// Path is a prefix of the target. Empty means any.
	Path string
	// Code is the code of a failure. Empty passes every recording.
	Code string
	// Content has to occur in the recorded content of the request or the response. Empty means any.
	Content []byte
	// Before is the id of a recording; only older ones are listed. Empty starts with the newest.
	Before string
	// Limit bounds the list. Zero means no bound.
	Limit int
}

func (f *Filter) passes(x *recording) bool {
	status, code := x.verdict()
	switch {
	case f.Method != "" && !strings.EqualFold(f.Method, x.request.Method),
		f.MostStatus > 0 && (status < f.LeastStatus || status > f.MostStatus),
		!strings.HasPrefix(x.request.Target, f.Path),
		f.Code != "" && f.Code != string(code):
		return false
	}
	return len(f.Content) == 0 || bytes.Contains(x.sent.kept, f.Content) || bytes.Contains(x.received.kept, f.Content)
}

// list returns the recordings that pass, newest first. It reports false if no recording has the id
// f.Before. The caller holds b.mu.
func (b *Book) list(f Filter) (passed []*recording, found bool) {
	before := len(b.recordings)
	if f.Before != "" {
		before = slices.IndexFunc(b.recordings, func(x *recording) bool { return x.id == f.Before })
		if before < 0 {
			return nil, false
		}
	}
	for _, x := range slices.Backward(b.recordings[:before]) {
		if f.Limit > 0 && len(passed) == f.Limit {
			break
		}
		if f.passes(x) {
			passed = append(passed, x)
		}
	}
	return passed, true
}

// List returns the recordings that pass, newest first, and the name of the book's state. It reports
// false if no recording has the id f.Before.
func (b *Book) List(f Filter) (list schema.Recordings, found bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	passed, found := b.list(f)
	list = schema.Recordings{Exchanges: make([]schema.Recorded, 0, len(passed)), Change: b.named(b.change)}
	size := 0
	for _, x := range passed {
		if size += x.listedBytes(); size > listBytes && len(list.Exchanges) > 0 {
			break
		}
		list.Exchanges = append(list.Exchanges, x.recorded())
	}
	return list, found
}

// listBytes bounds a list, in bytes of JSON, approximately.
const listBytes = 1 << 20

// listedBytes returns the size of the recording in a list, in bytes of JSON, approximately.
func (x *recording) listedBytes() int { return 1<<10 + 2*(len(x.request.URL)+len(x.request.Target)) }

// IDs returns the ids of the recordings that pass, oldest first. It reports false as List does.
func (b *Book) IDs(f Filter) (ids []string, found bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	passed, found := b.list(f)
	for _, x := range slices.Backward(passed) {
		ids = append(ids, x.id)
	}
	return ids, found
}

// One returns the recording with an id and reports whether there is one.
func (b *Book) One(id string) (whole schema.Recording, found bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	x := b.byID[id]
	if x == nil {
		return whole, false
	}
	return x.whole(), true
}

// Request returns the request of the recording with an id, and its recorded content. It reports
// whether there is such a recording, and whether the content is cut: some was not recorded or may
// still come.
func (b *Book) Request(id string) (r claim.Request, content []byte, cut, found bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	x := b.byID[id]
	if x == nil {
		return r, nil, false, false
	}
	r = x.request
	r.Fields = slices.Clone(r.Fields)
	return r, bytes.Clone(x.sent.kept), x.sent.cut() || !x.complete, true
}
