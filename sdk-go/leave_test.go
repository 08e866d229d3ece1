package reversehttp

import (
	"bytes"
	"io"
	"net"
	"testing"
)

// The ends of a visitor's frames are found however the data is divided.
func TestTheFramesOfAVisitorAreFollowed(t *testing.T) {
	frame := func(second byte, more []byte, payload int) []byte {
		return append(append([]byte{0x82, second}, more...), bytes.Repeat([]byte{0xff}, payload)...)
	}
	mask := []byte{1, 2, 3, 4}
	sent := [][]byte{
		frame(0x80, mask, 0),
		frame(0x85, mask, 5),
		frame(0x05, nil, 5),
		frame(0xfe, append([]byte{1, 0}, mask...), 256),
		frame(0x7e, []byte{1, 0}, 256),
		frame(0xff, append([]byte{0, 0, 0, 0, 0, 1, 0, 0}, mask...), 65_536),
		frame(0x00, nil, 0),
	}
	for _, piece := range []int{1, 2, 3, 7, 64, 1 << 20} {
		var f socketFrames
		all := bytes.Join(sent, nil)
		at, ends := 0, map[int]bool{}
		for at < len(all) {
			b := all[at:min(at+piece, len(all))]
			for len(b) > 0 {
				n := f.take(b)
				at, b = at+n, b[n:]
				ends[at] = f.between()
			}
		}
		for i, end := 0, 0; i < len(sent); i++ {
			end += len(sent[i])
			if !ends[end] {
				t.Errorf("in pieces of %d bytes the end of frame %d is not found", piece, i)
			}
			delete(ends, end)
		}
		for end, between := range ends {
			if between {
				t.Errorf("in pieces of %d bytes byte %d counts as the end of a frame", piece, end)
			}
		}
	}
}

// The visitor's current frame is complete before the handler has to leave, and the next one does not begin.
func TestAHandlerLeavesBetweenTwoFrames(t *testing.T) {
	one := append([]byte{0x82, 0x85, 0, 0, 0, 0}, "hello"...)
	reads, arrivals := net.Pipe()
	l := &leaving{to: arrivals}
	read := make(chan []byte, 1)
	go func() {
		b, _ := io.ReadAll(reads)
		read <- b
	}()
	if !l.pass(one[:8]) {
		t.Fatal("nothing passes")
	}
	l.begin()
	if l.pass(append(one[8:], one...)) {
		t.Error("more passes")
	}
	if got, want := <-read, append(one, goingAway...); !bytes.Equal(got, want) {
		t.Errorf("the handler read % x, want % x", got, want)
	}
}
