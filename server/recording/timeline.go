package recording

import (
	"encoding/base64"
	"unicode/utf8"

	"reversehttp/schema"
	"reversehttp/server/wire"
)

// The sides of an exchange.
const (
	visitor = schema.RecordedPartVisitor
	handler = schema.RecordedPartHandler
)

// timeline records when content came, in pieces or in the frames of a WebSocket.
type timeline struct {
	parts  []part
	cut    bool // more came than is kept
	bytes  int  // of the payloads
	frames map[schema.RecordedPartFrom]*frames
}

// part is a piece of content, or a frame.
type part struct {
	schema.RecordedPart
	payload []byte // of a frame
}

// add notes content, of a WebSocket if upgraded is true. It does not keep b.
func (t *timeline) add(at int, from schema.RecordedPartFrom, b []byte, upgraded bool) {
	if !upgraded {
		t.note(part{RecordedPart: schema.RecordedPart{AtMs: at, From: from, Bytes: len(b)}})
		return
	}
	if t.frames == nil {
		t.frames = make(map[schema.RecordedPartFrom]*frames)
	}
	f := t.frames[from]
	if f == nil {
		f = &frames{room: contentBytes}
		t.frames[from] = f
	}
	for len(b) > 0 {
		b = f.read(t, at, from, b)
	}
}

// note keeps a part unless there are too many. It returns the kept part, or nil.
func (t *timeline) note(p part) *part {
	if len(t.parts) >= mostParts {
		t.cut = true
		return nil
	}
	t.parts = append(t.parts, p)
	return &t.parts[len(t.parts)-1]
}

// end notes the end of the content.
func (t *timeline) end() { t.frames = nil }

// weight returns the memory of the parts in bytes.
func (t *timeline) weight() int { return smallWeight*len(t.parts) + t.bytes }

// recorded returns the parts.
func (t *timeline) recorded() []schema.RecordedPart {
	all := make([]schema.RecordedPart, len(t.parts))
	for i, p := range t.parts {
		all[i] = p.RecordedPart
		if p.Opcode != "" {
			all[i].Body, all[i].BodyBase64 = body(p.payload)
			all[i].Cut = len(p.payload) < p.Bytes
		}
	}
	return all
}

// frames parses the frames that one side of a WebSocket sends (RFC 6455, 5.2).
type frames struct {
	room    int    // for payloads, in bytes
	head    []byte // of the frame that begins
	current int    // index of the frame's part, plus 1; 0 where it is not kept
	left    uint64 // bytes of its payload to come
	mask    [4]byte
	masked  bool
	at      int // in the payload
}

// opcodes names the opcodes of frames. Others are reserved.
var opcodes = map[byte]schema.RecordedPartOpcode{
	0: schema.RecordedPartContinuation, 1: schema.RecordedPartText, 2: schema.RecordedPartBinary,
	8: schema.RecordedPartClose, 9: schema.RecordedPartPing, 10: schema.RecordedPartPong,
}

// read consumes the part of b that belongs to one frame, and returns the rest.
func (f *frames) read(t *timeline, at int, from schema.RecordedPartFrom, b []byte) []byte {
	if f.left == 0 {
		f.head = append(f.head, b[0])
		if size, payload := wire.FrameHead(f.head); len(f.head) == size {
			f.left = payload
			f.begin(t, at, from)
		}
		return b[1:]
	}
	n := int(min(uint64(len(b)), f.left))
	f.keep(t, b[:n])
	f.left -= uint64(n)
	return b[n:]
}

// begin begins a frame whose head is complete.
func (f *frames) begin(t *timeline, at int, from schema.RecordedPartFrom) {
	head := f.head
	f.head = f.head[:0]
	if f.masked, f.at = head[1]&0x80 != 0, 0; f.masked {
		copy(f.mask[:], head[len(head)-len(f.mask):])
	}
	opcode, known := opcodes[head[0]&0x0f]
	if !known {
		opcode = schema.RecordedPartReserved
	}
	f.current = 0
	if t.note(part{RecordedPart: schema.RecordedPart{
		AtMs: at, From: from, Bytes: int(f.left & (1<<53 - 1)), Opcode: opcode, Final: head[0]&0x80 != 0, Compressed: head[0]&0x40 != 0,
	}}) != nil {
		f.current = len(t.parts)
	}
}

// keep keeps payload of a frame, unmasked, while there is room.
func (f *frames) keep(t *timeline, b []byte) {
	if f.current == 0 {
		return
	}
	p := &t.parts[f.current-1]
	was := cap(p.payload)
	for _, c := range b[:min(len(b), f.room)] {
		if f.masked {
			c ^= f.mask[f.at%4]
		}
		p.payload = append(p.payload, c)
		f.at++
		f.room--
	}
	t.bytes += cap(p.payload) - was
}

// body returns content in the form of a message: as text if it is valid UTF-8, otherwise in base64.
func body(content []byte) (text, base64Text string) {
	if utf8.Valid(content) {
		return string(content), ""
	}
	return "", base64.StdEncoding.EncodeToString(content)
}
