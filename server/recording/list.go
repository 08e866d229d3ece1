package recording

import (
	"bytes"
	"slices"
	"strings"

	"reversehttp/schema"
	"reversehttp/server/claim"
)

// Filter says which recordings are listed. The zero value has all pass.
type Filter struct {
	// Method is a request method, in any case. Empty means any.
	Method string
	// LeastStatus and MostStatus bound the status of the response. Zero means any, and none.
	LeastStatus, MostStatus int
	// Path is what targets begin with. Empty means any.
	Path string
	// Code is that of a failure. Empty means any, and none.
	Code string
	// Content is to be in what was recorded of the content of the request or the response. Empty means any.
	Content []byte
	// Before is the id of the recording that the list goes back from. Empty means the newest.
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

// list returns the recordings that pass, newest first, and reports false where there is none with the id f.Before. The caller holds b.mu.
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

// List returns recordings, newest first, and names what the book is like. It reports false where there is none with the id f.Before.
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

// listBytes bounds a list, in bytes of JSON, about.
const listBytes = 1 << 20

// listedBytes returns how much the recording takes in a list, in bytes of JSON, about.
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

// One returns a recording, and reports whether there is one with the id.
func (b *Book) One(id string) (whole schema.Recording, found bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	x := b.byID[id]
	if x == nil {
		return whole, false
	}
	return x.whole(), true
}

// Request returns the request of a recording, and what was recorded of its content. It reports whether there is one with the id, and
// whether the content was cut: some of it was not recorded, or may still come.
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
