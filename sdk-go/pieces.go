package reversehttp

import (
	"bytes"
	"io"

	"reversehttp/schema/envelope"
)

// pieces are the content of a call, piece after piece, so that content which is large is not copied to stand beside its message.
type pieces [][]byte

// How much content is rather copied.
const copiedMost = 4 << 10

var lf = []byte{'\n'}

// beside appends a message of the framed form that has no content, and content beside it.
func (p pieces) beside(message, content []byte) pieces {
	return append(p, envelope.WithBeside(message, int64(len(content))), content, lf)
}

// size returns how many bytes there are.
func (p pieces) size() (n int64) {
	for _, piece := range p {
		n += int64(len(piece))
	}
	return n
}

// sentAtOnce is how much content is sent together with the fields of its request, which spares a call of the system: net/http does so
// only for content that it knows to be in memory.
const sentAtOnce = 4 << 10

// reader returns what reads them, and calls moved whenever some was read, unless they are sent at once.
func (p pieces) reader(moved func()) io.ReadCloser {
	if p.size() <= sentAtOnce {
		return io.NopCloser(bytes.NewReader(bytes.Join(p, nil)))
	}
	return &pieceReader{left: p, moved: moved}
}

type pieceReader struct {
	left  pieces
	read  int // of the first
	moved func()
}

func (r *pieceReader) Read(p []byte) (n int, err error) {
	for len(r.left) > 0 && n < len(p) {
		some := copy(p[n:], r.left[0][r.read:])
		n += some
		if r.read += some; r.read == len(r.left[0]) {
			r.left, r.read = r.left[1:], 0
		}
	}
	if n == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	r.moved()
	return n, nil
}

func (r *pieceReader) Close() error { return nil }
