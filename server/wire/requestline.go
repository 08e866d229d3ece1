package wire

import (
	"bytes"

	"golang.org/x/net/http/httpguts"
)

// requestLine examines a request line before net/http, which refuses a target whose path has a
// malformed %. It substitutes a target of the same length, and keeps the original. The line may
// come in pieces.
type requestLine struct {
	at part
	// changed is whether net/http sees shown in place of sent. Both grow while the target comes in
	// pieces. A well-formed target in one piece leaves them empty.
	changed     bool
	shown, sent []byte
}

// part is the position of the next byte in a request line.
type part int

const (
	atStart part = iota
	atMethod
	atPath
	atQuery
	atEnd
)

// maxPieces bounds a target that comes in pieces, in bytes. Longer ones are refused later.
const maxPieces = 1 << 20

// see examines the next bytes and changes a malformed target among them.
func (l *requestLine) see(p []byte) {
	if l.at < atPath {
		p = l.skipMethod(p)
	}
	if l.at == atEnd || len(p) == 0 {
		return
	}
	end := bytes.IndexAny(p, " \r\n")
	whole := end >= 0
	if whole {
		p = p[:end]
	}
	sent := l.mend(p)
	if !whole || l.changed || len(l.sent) > 0 {
		l.sent, l.shown = append(l.sent, sent...), append(l.shown, p...)
	}
	if whole || len(l.sent) > maxPieces {
		l.at = atEnd
	}
}

// skipMethod returns what follows the method and its space. It skips empty lines (RFC 9112, 2.2),
// and stops at anything else that is not a method.
func (l *requestLine) skipMethod(p []byte) []byte {
	for i, b := range p {
		switch {
		case b == ' ':
			l.at = atPath
			return p[i+1:]
		case l.at == atStart && (b == '\r' || b == '\n'):
		case !httpguts.IsTokenRune(rune(b)):
			l.at = atEnd
			return nil
		default:
			l.at = atMethod
		}
	}
	return nil
}

// mend changes every malformed % of a piece of the target, and returns the piece as it was sent. It
// also changes a % whose digits are in the next piece, which does no harm.
func (l *requestLine) mend(p []byte) (sent []byte) {
	sent = p
	mended := false
	for i := 0; i < len(p) && l.at == atPath; i++ {
		switch {
		case p[i] == '?': // net/http accepts any query
			l.at = atQuery
		case p[i] == '%' && (i+2 >= len(p) || !isHex(p[i+1]) || !isHex(p[i+2])):
			if !mended {
				sent = bytes.Clone(p)
			}
			mended, l.changed = true, true
			p[i] = '_'
		}
	}
	return sent
}

func isHex(b byte) bool {
	return '0' <= b && b <= '9' || 'a' <= b && b <= 'f' || 'A' <= b && b <= 'F'
}
