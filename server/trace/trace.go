// Package trace finds the trace context of a request, and begins traces (W3C Trace Context, levels 1
// and 2).
//
// The gateway records no spans. It is a pass-through: it neither changes the fields of a visitor nor
// puts a parent id of its own into their trace.
package trace

import (
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"slices"
	"strings"

	"reversehttp/server/claim"
)

// Begin says which traces the gateway begins for requests without a valid traceparent.
type Begin string

// The values of a [Begin].
const (
	// Sampled traces have the sampled flag. Most tracers follow their parent, so without the flag a
	// handler that records its own traces would record nothing.
	Sampled Begin = "sampled"
	// Unsampled traces lack the flag.
	Unsampled Begin = "unsampled"
	// None begins no traces. Any other value is like it.
	None Begin = "none"
)

// Set sets the trace context of a request by its fields, or to that of a new trace.
func (b Begin) Set(r *claim.Request) {
	r.Traceparent, r.Tracestate = of(r.Fields)
	switch {
	case r.Traceparent != "":
	case b == Sampled:
		r.Traceparent = begin(sampledFlag | randomFlag)
	case b == Unsampled:
		r.Traceparent = begin(randomFlag)
	}
}

// ID returns the trace id of a traceparent that Set set, or "" if there is none.
func ID(traceparent string) string {
	if traceparent == "" {
		return ""
	}
	return traceparent[len("00-") : len("00-")+32]
}

// The flags of a traceparent. The random flag (level 2) says that the trace id is random.
const (
	sampledFlag = 1 << iota
	randomFlag
)

// length is that of a traceparent of version 00, in bytes.
const length = len("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")

// of returns the trace context that fields have: a valid traceparent in version 00, and the tracestate
// that belongs to it. Both are empty unless there is one traceparent and it is valid.
func of(fields []claim.Field) (parent, state string) {
	parents := 0
	for i := range fields {
		if f := &fields[i]; f.Name == "Traceparent" {
			parents++
			parent = valid(f.Value)
		}
	}
	if parents != 1 || parent == "" {
		return "", ""
	}
	states, several := 0, []string(nil)
	for i := range fields {
		if f := &fields[i]; f.Name == "Tracestate" {
			if states++; states == 1 {
				state = f.Value
				continue
			}
			several = append(several, f.Value)
		}
	}
	if several != nil {
		state = strings.Join(append([]string{state}, several...), ",")
	}
	return parent, bounded(state)
}

// valid returns a traceparent in version 00, or "" if it is invalid. Of a later version it keeps what
// version 00 has, as level 1 demands.
func valid(parent string) string {
	if len(parent) < length || parent[2] != '-' || parent[35] != '-' || parent[52] != '-' {
		return ""
	}
	version, id, span, flags := parent[:2], parent[3:35], parent[36:52], parent[53:length]
	switch {
	case !isHex(version), !isHex(id), !isHex(span), !isHex(flags), version == "ff", strings.Trim(id, "0") == "", strings.Trim(span, "0") == "":
		return ""
	case len(parent) > length && (version == "00" || parent[length] != '-'):
		return ""
	case version == "00":
		return parent
	}
	known := strings.IndexByte(digits, flags[1]) & (sampledFlag | randomFlag)
	return "00" + parent[2:length-2] + "0" + digits[known:known+1]
}

const digits = "0123456789abcdef"

// isHex reports whether s has only lower case hexadecimal digits.
func isHex(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// A tracestate beyond mostState bytes is shortened as the recommendation says (3.3.1.5): first
// members beyond largeMember are dropped, then the last ones.
const (
	mostState   = 512
	largeMember = 128
)

// bounded returns a tracestate of at most mostState bytes, or "" if it has anything but printable
// ASCII.
func bounded(state string) string {
	for i := range len(state) {
		if c := state[i]; (c < ' ' || c > '~') && c != '\t' {
			return ""
		}
	}
	if len(state) <= mostState {
		return state
	}
	members := slices.DeleteFunc(strings.Split(state, ","), func(m string) bool { return len(m) > largeMember })
	size := 0
	for i, m := range members {
		if size += len(m) + 1; size-1 > mostState {
			members = members[:i]
			break
		}
	}
	return strings.Join(members, ",")
}

// begin returns the traceparent of a new trace. Its ids are random, which need not be secret: they
// come from the generator of the runtime, which costs no system call.
func begin(flags byte) string {
	var ids [24]byte
	for i := range 3 {
		n := rand.Uint64()
		for n == 0 { // no id may be zero
			n = rand.Uint64()
		}
		binary.BigEndian.PutUint64(ids[8*i:], n)
	}
	b := make([]byte, 0, length)
	b = hex.AppendEncode(append(b, "00-"...), ids[:16])
	b = hex.AppendEncode(append(b, '-'), ids[16:])
	b = append(b, '-', '0', digits[flags])
	return string(b)
}
