package main

import (
	"strings"
	"testing"

	"rsc.io/qr"
)

func TestTheLinesOfACodeAreItsModules(t *testing.T) {
	const url = "https://demo.gateway.example/"
	code, err := qr.Encode(url, qr.L)
	if err != nil {
		t.Fatal(err)
	}
	lines, err := qrLines(url, false)
	if err != nil {
		t.Fatal(err)
	}
	size := code.Size + 2*quietZone
	if len(lines) != (size+1)/2 {
		t.Fatalf("%d lines, want %d", len(lines), (size+1)/2)
	}
	for y := range size {
		line := []rune(lines[y/2])
		if len(line) != size {
			t.Fatalf("line %d has %d characters, want %d", y/2, len(line), size)
		}
		for x := range size {
			white := strings.ContainsRune([]string{"█▀", "█▄"}[y%2], line[x])
			if white == code.Black(x-quietZone, y-quietZone) {
				t.Fatalf("the module %d, %d is white: %t", x, y, white)
			}
		}
	}
	if got := fitting(lines, size+1); len(got) != len(lines) {
		t.Errorf("with %d columns the code has %d lines, want %d", size+1, len(got), len(lines))
	}
	if got := fitting(lines, size); len(got) != 1 || !strings.Contains(got[0], "columns") {
		t.Errorf("with %d columns it is %q", size, got)
	}
	if _, err := qrLines(strings.Repeat("x", 5000), false); err == nil {
		t.Error("a code of 5000 bytes, want an error")
	}
}
