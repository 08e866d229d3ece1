package wire

import "encoding/base64"

// ValidKey reports whether the values of Sec-WebSocket-Key are one key of 16 bytes in base64 (RFC 6455, 4.1).
func ValidKey(key []string) bool {
	if len(key) != 1 {
		return false
	}
	nonce, err := base64.StdEncoding.DecodeString(key[0])
	return err == nil && len(nonce) == 16
}
