package wire

import (
	"bytes"
	"net/http"
)

// framing sees the bytes of a request head before net/http does, and notes the
// two fields that tell where its content ends. net/http hides them where they
// contradict each other. The head may come in pieces.
type framing struct {
	at lineAt
	// name is the start of the name of a field, as far as it came.
	name [len("transfer-encoding") + 1]byte
	size int
	// coded and sized say that Transfer-Encoding and Content-Length are there.
	coded, sized bool
}

// lineAt is where in a head the next byte stands.
type lineAt int

const (
	beforeHead lineAt = iota
	inFirstLine
	inName
	inValue
	afterHead
)

// see sees the next bytes. Lines end as they do for net/http: in LF, with a CR
// before it or not. A line that goes on with the one before it begins with
// space, so it has no name.
func (f *framing) see(p []byte) {
	for len(p) > 0 && f.at != afterHead {
		switch f.at {
		case beforeHead: // RFC 9112, 2.2: empty lines may come first
			if p = bytes.TrimLeft(p, "\r\n"); len(p) > 0 {
				f.at = inFirstLine
			}
		case inFirstLine, inValue:
			end := bytes.IndexByte(p, '\n')
			if end < 0 {
				return
			}
			f.at, f.size, p = inName, 0, p[end+1:]
		case inName:
			end := bytes.IndexAny(p, ":\n")
			if end < 0 {
				f.size += copy(f.name[f.size:], p)
				return
			}
			f.size += copy(f.name[f.size:], p[:end])
			f.named(p[end])
			p = p[end+1:]
		}
	}
}

// named notes what the name of a field, or an empty line, says.
func (f *framing) named(end byte) {
	name := f.name[:f.size]
	f.size = 0
	switch {
	case end == ':':
		f.at = inValue
		f.coded = f.coded || bytes.EqualFold(name, []byte("Transfer-Encoding"))
		f.sized = f.sized || bytes.EqualFold(name, []byte("Content-Length"))
	case len(name) == 0 || string(name) == "\r":
		f.at = afterHead
	}
}

// contradiction says how the fields of a request contradict each other on where it ends
// (RFC 9112, 6.1 and 6.3), or returns "": whoever stands before this server may have read
// another request than net/http did. Where that is so, or not all of the head was seen, the
// connection closes after the answer, so that nothing reads what follows.
func contradiction(w http.ResponseWriter, r *http.Request) (detail string) {
	c := connOf(r)
	coded, old := len(r.TransferEncoding) > 0, !r.ProtoAtLeast(1, 1)
	if c == nil || c.lost || c.framing.at != afterHead {
		if coded || old {
			w.Header().Set("Connection", "close")
		}
		return ""
	}
	if !c.framing.coded || !old && !c.framing.sized {
		return ""
	}
	w.Header().Set("Connection", "close")
	if old {
		return "HTTP/1.0 has no Transfer-Encoding; send Content-Length."
	}
	return "The request has both Transfer-Encoding and Content-Length; send one of them."
}
