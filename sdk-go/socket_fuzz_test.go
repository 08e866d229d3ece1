package reversehttp

import "testing"

// A link waits for as many bytes as frameSize returns, which must never be less than a head or negative.
func FuzzFrameSize(f *testing.F) {
	for _, head := range []string{"", "\x82", "\x82\x80", "\x82\xfd", "\x82\xfe\x00", "\x82\xfe\xff\xff", "\x82\xff\x00\x00\x00\x00\x00\x01\x00\x00", "\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff", "\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff"} {
		f.Add([]byte(head))
	}
	f.Fuzz(func(t *testing.T, head []byte) {
		if n := frameSize(head); n != 0 && n < 6 {
			t.Errorf("% x has %d bytes", head, n)
		}
	})
}
