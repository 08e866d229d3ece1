package wire

import (
	"bytes"
	"strings"
)

// guard follows the bytes of a connection of HTTP/1, message by message, before net/http has them. It lets nothing through that some
// servers read in one way and others in another: a line that ends in LF alone, a CR that LF does not follow, NUL, a folded field, and a
// length that is said in two ways. net/http takes most of these, and who stands before it may have seen other requests than it does.
//
// What a guard stops at, and all that follows it, net/http never has. It has stopped instead, which makes of the head, the line of a
// chunk or the trailers before it something that net/http refuses, in its turn where requests are pipelined.
//
// After a request that asks to change the protocol a guard holds back what follows, until it is known what that is: nothing that a guard
// understands where a handler takes the connection, and the next request where that is idle again.
type guard struct {
	at guardAt
	// why is why nothing more is let through, for people.
	why string
	// cr says that the byte before was a CR, which LF has to follow.
	cr bool
	// old says that the request is of HTTP/1.0; trailing, that its fields follow the content; asks, that it asks for another protocol.
	old, trailing, asks bool
	// coded and sized say that Transfer-Encoding and Content-Length are there, and left how much content follows, or how much of a chunk.
	coded, sized bool
	left         uint64
	// amiss says that net/http refuses the request for one of them.
	amiss bool
	// name and value are those of a field, as far as they matter and came, and size counts the digits of a chunk's size.
	name   [len("transfer-encoding") + 1]byte
	named  int
	value  [mostValue + 1]byte
	valued int
	size   int
	// head and cookies count the bytes of a head, and those of cookies in it.
	head, cookies int
	// unseen counts what was let through without a look, after a request that asks.
	unseen int
}

// guardAt is where in a message the next byte stands.
type guardAt int

const (
	atHead      guardAt = iota // before a request line
	inLine                     // in it
	atField                    // at the start of a line of fields
	inField                    // in the name of a field
	inValue                    // in its value
	inContent                  // in content of a known length
	atSize                     // in the size of a chunk
	inExtension                // after it
	inChunk                    // in what it has
	afterChunk                 // after that
	atHold                     // after a request that asks for another protocol
	atRefusal                  // where net/http refuses, and closes the connection
)

// stopped is what net/http has in place of what a guard stops at. The first bytes are good in no field and in no line of a chunk.
const stopped = "\x00\r\r\n\r\n\r\n"

// mostValue bounds what is looked at of a value, in bytes.
const mostValue = 64

// see sees the next bytes and returns how many of them pass. Of those that do not, why says what is wrong; where it is empty they are held
// back until [guard.idle].
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

// idle notes that a response was written, and that no handler took the connection. tail is what came last.
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

// begun reports whether a head has begun since the connection was idle.
func (g *guard) begun() bool { return g.head > 0 }

// inHead reports whether the next byte is one of a head that has begun.
func (g *guard) inHead() bool { return inLine <= g.at && g.at <= inValue && !g.trailing }

// cookiesFill reports whether most of a head, as far as it came, is cookies.
func (g *guard) cookiesFill() bool { return g.cookies > g.head/2 }

// stop lets nothing more through.
func (g *guard) stop(why string) int {
	g.why = why
	return 0
}

// text sees the next bytes of lines, one at least, and returns how many it saw.
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

// version is what a request line of HTTP/1.0 ends in.
const version = "HTTP/1.0"

// keepEnd keeps as much of the end of a request line, of which p is the next piece, as its version has.
func (g *guard) keepEnd(p []byte) {
	p = p[max(0, len(p)-len(version)):]
	kept := g.value[max(0, g.valued+len(p)-len(version)):g.valued]
	g.valued = copy(g.value[:], kept)
	g.valued += copy(g.value[g.valued:], p)
}

// inName sees a byte of the name of a field.
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

// is reports whether the field has a name, which is given in lower case.
func (g *guard) is(name string) bool {
	return g.named == len(name) && strings.EqualFold(string(g.name[:g.named]), name)
}

// inSize sees a byte of the size of a chunk.
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

// ending sees the CR at the end of a line.
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

// lineEnds notes the end of a line.
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

// fieldEnds looks at a field that says how long the content is.
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

// lengthOf reads a Content-Length.
func lengthOf(s string) (n uint64, ok bool) {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' || n > 1<<59 {
			return 0, false
		}
		n = 10*n + uint64(s[i]-'0')
	}
	return n, s != ""
}

// sectionEnds notes the end of the fields, or of trailers.
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

// over notes the end of a message.
func (g *guard) over() {
	if g.at != atHold && g.asks {
		g.at, g.unseen = atHold, 0
		return
	}
	g.at, g.trailing, g.asks = atHead, false, false
}
