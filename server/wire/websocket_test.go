package wire

import "testing"

func TestTheHeadOfAFrameHasItsLength(t *testing.T) {
	mask := "\x01\x02\x03\x04"
	for _, c := range []struct {
		frame   string
		head    int
		payload uint64
	}{
		{"", 2, 0}, {"\x81", 2, 0}, {"\x81\x00", 2, 0}, {"\x81\x05hello", 2, 5}, {"\x81\x85" + mask, 6, 5}, {"\x81\x85\x01", 6, 0},
		{"\x82\x7e\x01\x00", 4, 256}, {"\x82\x7e\x01", 4, 0}, {"\x82\xfe\x01\x00" + mask, 8, 256},
		{"\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00", 10, 65_536}, {"\x82\xff\x00\x00\x00\x00\x00\x01\x00\x00", 14, 0}, {"\x82\xff\x00\x00\x00\x00\x00\x01\x00\x00" + mask, 14, 65_536},
	} {
		if head, payload := FrameHead([]byte(c.frame)); head != c.head || payload != c.payload {
			t.Errorf("%x: a head of %d and %d bytes, want %d and %d", c.frame, head, payload, c.head, c.payload)
		}
	}
}
