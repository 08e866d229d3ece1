package wire

import (
	"encoding/base64"
	"encoding/binary"
)

// ValidKey reports whether the values of Sec-WebSocket-Key are one key of 16 bytes in base64 (RFC 6455, 4.1).
func ValidKey(key []string) bool {
	if len(key) != 1 {
		return false
	}
	nonce, err := base64.StdEncoding.DecodeString(key[0])
	return err == nil && len(nonce) == 16
}

// FrameHead returns the length of the head of a WebSocket frame that begins with b, and of its
// payload (RFC 6455, 5.2), in bytes. If b does not hold the whole head, head is a lower bound and
// payload is 0.
func FrameHead(b []byte) (head int, payload uint64) {
	if len(b) < 2 {
		return 2, 0
	}
	short := b[1] & 0x7f
	head = 2
	switch short {
	case 126:
		head += 2
	case 127:
		head += 8
	}
	extended := head
	if b[1]&0x80 != 0 {
		head += 4 // the masking key
	}
	switch {
	case len(b) < head:
		return head, 0
	case short == 126:
		return head, uint64(binary.BigEndian.Uint16(b[2:extended]))
	case short == 127:
		return head, binary.BigEndian.Uint64(b[2:extended])
	}
	return head, uint64(short)
}
