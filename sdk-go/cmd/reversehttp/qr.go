package main

import (
	"fmt"
	"strings"

	"rsc.io/qr"
)

// quietZone is how many modules around a code are left white (ISO/IEC 18004, 5.3.8).
const quietZone = 4

// coding is a view that can show the URL as a QR code.
type coding interface{ code(lines []string) }

// qrLines encodes text as a QR code, two rows of modules in each line. With colours the code is black on white on every
// terminal; without them it assumes a dark background.
func qrLines(text string, colours bool) ([]string, error) {
	code, err := qr.Encode(text, qr.L)
	if err != nil {
		return nil, fmt.Errorf("the URL has no QR code: %w", err)
	}
	var lines []string
	for y := -quietZone; y < code.Size+quietZone; y += 2 {
		var b strings.Builder
		for x := -quietZone; x < code.Size+quietZone; x++ {
			// A module beyond the code is white. A last line may have one row only.
			above, below := !code.Black(x, y), !code.Black(x, y+1)
			b.WriteString(map[[2]bool]string{{true, true}: "█", {true, false}: "▀", {false, true}: "▄", {false, false}: " "}[[2]bool{above, below}])
		}
		line := b.String()
		if colours {
			line = "\x1b[97;40m" + line + "\x1b[0m"
		}
		lines = append(lines, line)
	}
	return lines, nil
}

// fitting returns the lines of a QR code, or one that says how many columns they need: a wrapped code is not readable.
func fitting(lines []string, width int) []string {
	if needs := 2 * len(lines); len(lines) > 0 && needs > width { // a line has two rows, except the last, and one column stays free
		return []string{fmt.Sprintf("The QR code needs %d columns.", needs)}
	}
	return lines
}

// showCode shows the QR code of a URL if a flag asks for it.
func (s *serving) showCode(url string) {
	v, ok := s.view.(coding)
	if !s.QR || !ok {
		return
	}
	lines, err := qrLines(url, wantsColours())
	if err != nil {
		s.log.Warn("there is no QR code", "error", err)
		return
	}
	if _, redraws := v.(*table); !redraws { // a table knows its width whenever it draws
		lines = fitting(lines, columns())
	}
	v.code(lines)
}
