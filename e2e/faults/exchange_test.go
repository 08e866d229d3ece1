package faults

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"net/http"
	"strconv"
)

// exchange is one request and the expected answer.
type exchange struct {
	key     string
	method  string
	size    int  // size of the request's content
	chunked bool // without a stated length
	text    bool // the content of both is valid UTF-8
	want    want
	sum     string // the hash of the content
}

// want is what a program is asked for.
type want struct {
	shape shape
	size  int
}

// shape is how a program sends its answer.
type shape string

// The shapes.
const (
	whole   shape = "whole"   // in one piece, without a Content-Length
	stated  shape = "stated"  // with Content-Length
	flushed shape = "flushed" // in flushed pieces
	early   shape = "early"   // before the content of the request is read
	slow    shape = "slow"    // after a moment
	held    shape = "held"    // never, in the first attempt
)

// streams reports whether an answer may reach its visitor before it is complete.
func (w want) streams() bool { return w.shape == flushed || w.size > 64<<10 }

// newExchange makes exchange n of a seed: every second one is a POST.
func newExchange(seed, n uint64) *exchange {
	r := random(seed, "exchange", n)
	x := &exchange{key: strconv.FormatUint(n, 10), method: http.MethodGet, text: r.IntN(2) == 0}
	if n%2 == 1 {
		x.method = http.MethodPost
	}
	if x.method == http.MethodPost || r.IntN(20) == 0 {
		x.size = sizeOf(r)
		x.chunked = r.IntN(8) == 0
	}
	x.want = want{shape: whole, size: sizeOf(r)}
	switch r.IntN(10) {
	case 0, 1:
		x.want.shape = stated
	case 2, 3:
		x.want.shape = flushed
	case 4:
		x.want.shape = early
	case 5:
		x.want.shape = slow
	}
	x.sum = hash(x.content())
	return x
}

// sizeOf returns the length of some content. The gateway puts up to 65,536 bytes into the envelope, and lets
// programs fetch more.
func sizeOf(r *rand.Rand) int {
	switch n := r.IntN(100); {
	case n < 10:
		return 0
	case n < 80:
		return int(spread(r, 16<<10))
	case n < 85:
		return 65_535 + r.IntN(3)
	case n < 92:
		return r.IntN(64 << 10)
	default:
		return r.IntN(300 << 10)
	}
}

// bytesOf and textOf are sources of contents: a copy is cheap, even with the race detector.
var bytesOf, textOf = func() (some, text []byte) {
	some, text = make([]byte, 1<<20), make([]byte, 1<<20)
	_, _ = rand.NewChaCha8([32]byte{}).Read(some)
	for i, b := range some {
		text[i] = ' ' + b%95
	}
	return some, text
}()

// contentOf returns bytes that are unique to a name.
func contentOf(name string, size int, text bool) []byte {
	from := bytesOf
	if text {
		from = textOf
	}
	sum := sha256.Sum256([]byte(name))
	at := binary.BigEndian.Uint64(sum[:]) % uint64(len(from)-size)
	content := bytes.Clone(from[at : at+uint64(size)])
	copy(content, hex.EncodeToString(sum[:12]))
	return content
}

// content returns the content of the request.
func (x *exchange) content() []byte { return contentOf("request "+x.key, x.size, x.text) }

// hash returns the hash of content.
func hash(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:12])
}

// The fields in which visitors and programs describe the exchange.
const (
	fieldKey   = "X-Key"   // of request and answer
	fieldShape = "X-Shape" // of the request
	fieldSize  = "X-Size"  // of the request
	fieldText  = "X-Text"  // of the request
	fieldRun   = "X-Run"   // of the answer: which handler, which of its runs
	fieldRead  = "X-Read"  // of the answer: the hash of what it read
)
