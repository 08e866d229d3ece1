package wire

import (
	"bytes"
	"strings"
)

// guard follows the bytes of an HTTP/1 connection, message by message, before net/http reads them.
// It stops whatever servers read in different ways: a line that ends in LF alone, a CR without LF,
// NUL, a folded field, and a length that is given in two ways. net/http accepts most of these, and
// a proxy in front may have seen different requests than it does.
//
// net/http never gets the bytes at which a guard stops, nor any after them. It gets the constant
// stopped instead, which makes it refuse the head, chunk line or trailers so far, after the answers
// to earlier pipelined requests.
//
// After a request for another protocol, a guard holds back what follows until its meaning is known.
// If a handler takes the connection, the bytes are not HTTP. If the connection becomes idle again,
// they are the next request.
type guard struct {
	at guardAt
	// why says, for people, why nothing more passes. It is empty while bytes pass.
	why string
	// cr is whether the last byte was a CR, which LF must follow.
	cr bool
	// old is whether the request is HTTP/1.0; trailing, whether the fields are trailers; asks,
	// whether it asks for another protocol.
	old, trailing, asks bool
	// coded and sized are whether Transfer-Encoding and Content-Length are present. left is how
	// much of the content or of a chunk follows, in bytes.
	coded, sized bool
	left         uint64
	// amiss is whether net/http refuses the request because of one of them.
	amiss bool
	// name and value are the relevant beginnings of a field's name and value, and size counts the
	// digits of a chunk size.
	name   [len("transfer-encoding") + 1]byte
	named  int
	value  [mostValue + 1]byte
	valued int
	size   int
	// head counts the bytes of a head, and cookies those of cookies in it.
	head, cookies int
	// unseen counts the bytes that passed unexamined after a request for another protocol.
	unseen int
}

// guardAt is the position of the next byte in a message.
type guardAt int

const (
	atHead      guardAt = iota // before a request line
	inLine                     // in it
	atField                    // at the start of a line of fields
	inField                    // in the name of a field
	inValue                    // in its value
	inContent                  // in content of a known length
	atSize                     // in the size of a chunk
	inExtension                // after the size
	inChunk                    // in the data of a chunk
	afterChunk                 // after the data
	atHold                     // after a request that asks for another protocol
	atRefusal                  // net/http refuses the request and closes the connection
)

// stopped is what net/http gets instead of the bytes at which a guard stops. Its first bytes are
// invalid in fields and chunk lines.
const stopped = "\x00\r\r\n\r\n\r\n"

// mostValue bounds how much of a value is examined, in bytes.
const mostValue = 64

// see examines the next bytes and returns how many of them pass. If some do not, why says what is
// wrong; if it is empty they are held back until [guard.idle].
func (g *guard) see(p []byte) int {
	for i := 0; i < len(p); {
		var n int
		switch rest := p[i:]; g.at {
		case atRefusal:
			return len(p)
		case atHold:
			if g.unseen == 0 && i > 0 {
				return i
			}
			g.unseen += len(rest)
			return len(p)
		case inContent, inChunk:
			n = int(min(g.left, uint64(len(rest))))
			if g.left -= uint64(n); g.left == 0 && g.at == inContent {
				g.over()
			} else if g.left == 0 {
				g.at = afterChunk
			}
		default:
			n = g.text(rest)
		}
		if g.why != "" {
			return i
		}
		i += n
	}
	return len(p)
}

// idle notes that a response was written and no handler took the connection. tail has the last
// bytes that came.
func (g *guard) idle(tail []byte) {
	if g.at == atHead {
		g.head = 0
	}
	if g.at != atHold {
		return
	}
	g.head = 0
	g.over()
	if n := g.unseen; n > len(tail) {
		g.stop("The connection was to change its protocol.")
	} else if g.unseen = 0; n > 0 {
		g.see(tail[len(tail)-n:])
	}
}

// begun reports whether a head has begun since the connection was last idle.
func (g *guard) begun() bool { return g.head > 0 }

// inHead reports whether the next byte belongs to a head that has begun.
func (g *guard) inHead() bool { return inLine <= g.at && g.at <= inValue && !g.trailing }

// cookiesFill reports whether cookies are most of the head so far.
func (g *guard) cookiesFill() bool { return g.cookies > g.head/2 }

// stop lets nothing more through.
func (g *guard) stop(why string) int {
	g.why = why
	return 0
}

// text examines the next bytes of lines, at least one, and returns how many it examined.
func (g *guard) text(p []byte) int {
	b := p[0]
	if g.inHead() {
		g.head++
	}
	switch {
	case g.at == atHead && (b == '\r' || b == '\n'): // RFC 9112, 2.2: empty lines may come first
		return 1
	case g.cr && b == '\n':
		g.cr = false
		g.lineEnds()
		return 1
	case g.cr:
		return g.stop("The request has a CR that LF does not follow (RFC 9112, 2.2).")
	case b == '\n':
		return g.stop("A line of the request ends in LF alone: it ends in CR LF (RFC 9112, 2.2).")
	case b == 0:
		return g.stop("The request has a NUL (RFC 9110, 5.5).")
	case b == '\r':
		g.cr = true
		return g.ending()
	}
	switch g.at {
	case atHead:
		*g = guard{at: inLine, head: 1}
	case atField:
		if b == ' ' || b == '\t' {
			return g.stop("A field of the request is folded over lines: write it in one (RFC 9112, 5.2).")
		}
		g.at, g.named = inField, 0
		return g.inName(b)
	case inField:
		return g.inName(b)
	case atSize:
		return g.inSize(b)
	case afterChunk:
		return g.stop("A chunk is longer than it says.")
	}
	// The rest of a line.
	n := bytes.IndexAny(p, "\r\n\x00")
	if n < 0 {
		n = len(p)
	}
	switch g.at {
	case inLine:
		g.head += n - 1
		g.keepEnd(p[:n])
	case inValue:
		if !g.trailing {
			g.head += n - 1
			if g.is("cookie") {
				g.cookies += n
			}
		}
		g.valued += copy(g.value[g.valued:], p[:n])
	}
	return n
}

// version ends a request line of HTTP/1.0.
const version = "HTTP/1.0"

// keepEnd keeps the last bytes of a request line, as many as a version has. p is the next piece of
// the line.
func (g *guard) keepEnd(p []byte) {
	p = p[max(0, len(p)-len(version)):]
	kept := g.value[max(0, g.valued+len(p)-len(version)):g.valued]
	g.valued = copy(g.value[:], kept)
	g.valued += copy(g.value[g.valued:], p)
}

// inName examines a byte of a field name.
func (g *guard) inName(b byte) int {
	if b != ':' {
		if g.named < len(g.name) {
			g.name[g.named] = b
			g.named++
		}
		return 1
	}
	g.at, g.valued = inValue, 0
	if g.trailing {
		return 1
	}
	g.asks = g.asks || g.is("upgrade")
	coded := g.is("transfer-encoding")
	switch {
	case coded && g.old:
		return g.stop("HTTP/1.0 has no Transfer-Encoding; send Content-Length.")
	case coded && g.sized, g.coded && g.is("content-length"):
		return g.stop("The request has both Transfer-Encoding and Content-Length; send one of them.")
	}
	g.amiss = g.amiss || coded && g.coded // net/http answers 501
	return 1
}

// is reports whether the field has the given name, in lower case.
func (g *guard) is(name string) bool {
	return g.named == len(name) && strings.EqualFold(string(g.name[:g.named]), name)
}

// inSize examines a byte of a chunk size.
func (g *guard) inSize(b byte) int {
	digit := strings.IndexByte("0123456789abcdef", b|0x20)
	if b < '0' {
		digit = -1
	} else if b <= '9' {
		digit = int(b - '0')
	}
	switch {
	case digit < 0 && g.size > 0 && (b == ';' || b == ' ' || b == '\t'):
		g.at = inExtension
		return 1
	case digit < 0 || g.size == 16:
		return g.stop("The size of a chunk is malformed.")
	}
	g.left, g.size = g.left<<4|uint64(digit), g.size+1
	return 1
}

// ending handles the CR at the end of a line.
func (g *guard) ending() int {
	switch g.at {
	case inField:
		return g.stop("A line of the request is no field.")
	case atSize:
		if g.size == 0 {
			return g.stop("The size of a chunk is malformed.")
		}
	}
	return 1
}

// lineEnds handles the end of a line.
func (g *guard) lineEnds() {
	switch g.at {
	case inLine:
		g.old = string(g.value[:g.valued]) == version
		g.at = atField
	case inValue:
		g.at = atField
		if !g.trailing {
			g.fieldEnds()
		}
	case atField:
		g.sectionEnds()
	case atSize, inExtension:
		if g.at = inChunk; g.left == 0 {
			g.at, g.trailing = atField, true
		}
	case afterChunk:
		g.at, g.left, g.size = atSize, 0, 0
	}
}

// fieldEnds evaluates a complete field if it frames the content.
func (g *guard) fieldEnds() {
	if g.named != len("transfer-encoding") && g.named != len("content-length") {
		return
	}
	value := strings.Trim(string(g.value[:g.valued]), " \t")
	switch {
	case g.is("transfer-encoding"):
		g.coded = true
		g.amiss = g.amiss || g.valued > mostValue || !strings.EqualFold(value, "chunked") // net/http answers 501
	case g.is("content-length"):
		length, ok := lengthOf(value)
		g.amiss = g.amiss || !ok || g.valued > mostValue || g.sized && length != g.left // net/http answers 400
		g.sized, g.left = true, length
	}
}

// lengthOf parses a Content-Length.
func lengthOf(s string) (n uint64, ok bool) {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' || n > 1<<59 {
			return 0, false
		}
		n = 10*n + uint64(s[i]-'0')
	}
	return n, s != ""
}

// sectionEnds handles the end of the fields or trailers.
func (g *guard) sectionEnds() {
	switch {
	case g.amiss:
		g.at = atRefusal
	case g.trailing:
		g.over()
	case g.coded:
		g.at, g.left, g.size = atSize, 0, 0
	case g.left > 0:
		g.at = inContent
	default:
		g.over()
	}
}

// over handles the end of a message.
func (g *guard) over() {
	if g.at != atHold && g.asks {
		g.at, g.unseen = atHold, 0
		return
	}
	g.at, g.trailing, g.asks = atHead, false, false
}
