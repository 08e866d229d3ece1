package wire

import (
	"bytes"

	"golang.org/x/net/http/httpguts"
)

// requestLine sees the bytes of a request line before net/http does, which
// refuses a target whose path has a malformed %. It shows another of the same
// length then, and keeps the one that was sent. The line may come in pieces.
type requestLine struct {
	at part
	// changed says that net/http sees shown in place of sent. They grow while
	// the target comes in pieces; a target in one piece that is well-formed
	// leaves them empty.
	changed     bool
	shown, sent []byte
}

// part is where in a request line the next byte stands.
type part int

const (
	atStart part = iota
	atMethod
	atPath
	atQuery
	atEnd
)

// maxPieces bounds a target that comes in pieces. Longer ones are refused later.
const maxPieces = 1 << 20

// see sees the next bytes and changes a malformed target among them.
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

// skipMethod gives what follows the method and its space. It looks no further
// where something other than a method comes, but for empty lines (RFC 9112, 2.2).
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

// mend changes every malformed % of a piece of the target, and gives the piece
// as it was sent. A % whose digits are yet to come is changed too, which does
// no harm.
func (l *requestLine) mend(p []byte) (sent []byte) {
	sent = p
	mended := false
	for i := 0; i < len(p) && l.at == atPath; i++ {
		switch {
		case p[i] == '?': // net/http takes a query as it is
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
