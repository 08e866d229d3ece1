package envelope

import (
	"strings"
	"sync"
	"unicode/utf8"
)

// reader reads JSON. Malformed JSON ends it with a [Fault]. A value of the wrong type is noted as
// the fault of the current message and skipped, so that the rest is still checked.
//
// A strict reader refuses invalid UTF-8 and duplicate members, like I-JSON (RFC 7493). Otherwise it
// reads like encoding/json: invalid characters become U+FFFD, and the last of duplicate members
// counts.
type reader struct {
	in      []byte
	at      int
	strict  bool
	deepest int
	place   place
	seen    [][]byte // names in the open objects, in a strict reader
	short   shortStrings
	plain   []byte // the last string that had escapes, without them
}

// place is the position of a reader, and the fault of the message that it reads.
type place struct {
	path  []step
	base  int    // the depth of the message
	fault *Fault // the first fault of the message
}

// step is the position of the reader in an open object or list.
type step struct {
	list   bool
	inside bool // in the next member or element, or about to be
	index  int
	name   []byte
	names  map[string]struct{} // its part of seen, if that is long
}

// The number of names in an object up to which they are compared one by one.
const fewNames = 32

// readers are readers for reuse.
var readers = sync.Pool{New: func() any { return new(reader) }}

func newReader(in []byte, strict bool) *reader {
	r := readers.Get().(*reader)
	r.in, r.strict, r.deepest = in, strict, 10_000
	if strict {
		r.deepest = MostDepth
	}
	return r
}

// done ends the use of r, which keeps nothing of what it read.
func (r *reader) done() {
	path, seen := r.place.path[:cap(r.place.path)], r.seen[:cap(r.seen)]
	if len(path) > 4*MostDepth || len(seen) > MostMembers {
		path, seen = nil, nil
	}
	plain := r.plain[:cap(r.plain)]
	if len(plain) > shortChunk {
		plain = nil
	}
	clear(path)
	clear(seen)
	clear(plain)
	*r = reader{place: place{path: path[:0]}, seen: seen[:0], plain: plain[:0]}
	readers.Put(r)
}

// malformed returns the fault that ends the reader.
func (r *reader) malformed(err error) error { return &Fault{r.place.pointer(0), err} }

// blame notes the fault of the value at a depth, unless there is an earlier fault.
func (p *place) blame(err error, depth int) {
	if p.fault == nil {
		within := p.path
		p.path = p.path[:depth]
		p.fault = &Fault{p.pointer(p.base), err}
		p.path = within
	}
}

// mistyped blames the next value and skips it.
func (r *reader) mistyped() error {
	r.place.blame(ErrType, len(r.place.path))
	return r.skip()
}

// peek returns the first byte of the next token, or 0 at the end.
func (r *reader) peek() byte {
	for ; r.at < len(r.in); r.at++ {
		switch c := r.in[r.at]; c {
		case ' ', '\t', '\r', '\n':
		default:
			return c
		}
	}
	return 0
}

// end returns an error if anything follows.
func (r *reader) end() error {
	if r.peek(); r.at < len(r.in) {
		return r.malformed(ErrMalformed)
	}
	return nil
}

// members reads an object. It calls each to read each value.
func (r *reader) members(each func(name []byte) error) error {
	if len(r.place.path) >= r.deepest {
		return r.malformed(ErrMalformed)
	}
	r.at++
	depth, first := len(r.place.path), len(r.seen)
	r.place.path = append(r.place.path, step{})
	if r.peek() != '}' {
		for {
			if r.peek() != '"' {
				return r.malformed(ErrMalformed)
			}
			name, escaped, err := r.text()
			if err != nil {
				return err
			}
			if escaped || !r.strict && !utf8.Valid(name) {
				name = appendText(nil, name, escaped, r.strict)
			}
			s := &r.place.path[depth]
			s.name, s.inside = name, true
			if r.strict && s.twice(&r.seen, first) {
				return r.malformed(ErrTwice)
			}
			if r.peek() != ':' {
				return r.malformed(ErrMalformed)
			}
			r.at++
			if err := each(name); err != nil {
				return err
			}
			r.place.path[depth].inside = false
			if c := r.peek(); c == '}' {
				break
			} else if c != ',' {
				return r.malformed(ErrMalformed)
			}
			r.at++
		}
	}
	r.at++
	r.place.path, r.seen = r.place.path[:depth], r.seen[:first]
	return nil
}

// twice reports whether the name of s occurred in its object before, whose names begin at first in
// seen, and adds it to them.
func (s *step) twice(seen *[][]byte, first int) bool {
	if s.names == nil {
		for _, before := range (*seen)[first:] {
			if string(before) == string(s.name) {
				return true
			}
		}
		*seen = append(*seen, s.name)
		if len(*seen)-first < fewNames {
			return false
		}
		s.names = make(map[string]struct{}, 2*fewNames)
		for _, before := range (*seen)[first:] {
			s.names[string(before)] = struct{}{}
		}
		return false
	}
	n := len(s.names)
	s.names[string(s.name)] = struct{}{}
	return len(s.names) == n
}

// elements reads a list. It calls each to read each element.
func (r *reader) elements(each func(index int) error) error {
	if len(r.place.path) >= r.deepest {
		return r.malformed(ErrMalformed)
	}
	r.at++
	depth := len(r.place.path)
	r.place.path = append(r.place.path, step{list: true})
	if r.peek() != ']' {
		for i := 0; ; i++ {
			if c := r.peek(); c == 0 || c == ']' {
				return r.malformed(ErrMalformed)
			}
			r.place.path[depth].index, r.place.path[depth].inside = i, true
			if err := each(i); err != nil {
				return err
			}
			r.place.path[depth].inside = false
			if c := r.peek(); c == ']' {
				break
			} else if c != ',' {
				return r.malformed(ErrMalformed)
			}
			r.at++
		}
	}
	r.at++
	r.place.path = r.place.path[:depth]
	return nil
}

// skip skips a value.
func (r *reader) skip() error {
	switch c := r.peek(); c {
	case '{':
		return r.members(func([]byte) error { return r.skip() })
	case '[':
		return r.elements(func(int) error { return r.skip() })
	case '"':
		_, _, err := r.text()
		return err
	case 't':
		return r.word("true")
	case 'f':
		return r.word("false")
	case 'n':
		return r.word("null")
	default:
		_, err := r.number()
		return err
	}
}

// word reads true, false or null.
func (r *reader) word(w string) error {
	if end := r.at + len(w); end <= len(r.in) && string(r.in[r.at:end]) == w {
		r.at = end
		return nil
	}
	return r.malformed(ErrMalformed)
}

// number reads a number and returns its text.
func (r *reader) number() ([]byte, error) {
	from := r.at
	digits := func() bool {
		begin := r.at
		for r.at < len(r.in) && r.in[r.at] >= '0' && r.in[r.at] <= '9' {
			r.at++
		}
		return r.at > begin
	}
	is := func(among string) bool {
		if r.at < len(r.in) && strings.IndexByte(among, r.in[r.at]) >= 0 {
			r.at++
			return true
		}
		return false
	}
	is("-")
	ok := is("0") || digits()
	if ok && is(".") {
		ok = digits()
	}
	if ok && is("eE") {
		is("+-")
		ok = digits()
	}
	if !ok {
		return nil, r.malformed(ErrMalformed)
	}
	return r.in[from:r.at], nil
}

// text reads a string. It returns what is between the quotes, which is valid JSON, and whether it
// has escapes.
func (r *reader) text() (raw []byte, escaped bool, err error) {
	r.at++
	from := r.at
	for {
		r.at = special(r.in, r.at, 0)
		if r.at >= len(r.in) {
			return nil, false, r.malformed(ErrMalformed)
		}
		switch r.in[r.at] {
		case '"':
			raw = r.in[from:r.at]
			if r.strict && !utf8.Valid(raw) {
				return nil, false, r.malformed(ErrMalformed)
			}
			r.at++
			return raw, escaped, nil
		case '\\':
			escaped = true
			n := escape(r.in[r.at:], r.strict)
			if n == 0 {
				return nil, false, r.malformed(ErrMalformed)
			}
			r.at += n
		default:
			return nil, false, r.malformed(ErrMalformed)
		}
	}
}

// escape returns the length of the escape with which b begins, or of both of a surrogate pair. It
// returns 0 if the escape is malformed.
func escape(b []byte, strict bool) int {
	if len(b) < 2 {
		return 0
	}
	switch b[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		c := hex4(b)
		switch {
		case c < 0:
			return 0
		case c < 0xD800 || c > 0xDFFF || !strict:
			return 6
		case c > 0xDBFF || len(b) < 8 || b[6] != '\\' || b[7] != 'u':
			return 0
		}
		if low := hex4(b[6:]); low >= 0xDC00 && low <= 0xDFFF {
			return 12
		}
	}
	return 0
}

// hex4 returns the number in an escape such as \u00e9, or -1.
func hex4(b []byte) (n rune) {
	if len(b) < 6 {
		return -1
	}
	for _, c := range b[2:6] {
		n <<= 4
		switch {
		case '0' <= c && c <= '9':
			n |= rune(c - '0')
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			n |= rune(c|0x20-'a') + 10
		default:
			return -1
		}
	}
	return n
}
