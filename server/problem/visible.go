package problem

import (
	"strconv"
	"strings"
)

// turning are the characters that turn the direction of the text around them (Unicode, UAX 9), and are not seen themselves: a stranger
// who has them on a page has what the gateway says there read in another order.
const turning = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"

// visible returns a text for a page of HTML in which those are written as their numbers, as the console writes them.
func visible(text string) string {
	if !strings.ContainsAny(text, turning) {
		return text
	}
	var b strings.Builder
	for _, c := range text {
		if strings.ContainsRune(turning, c) {
			b.WriteString(`\u{` + strconv.FormatInt(int64(c), 16) + "}")
		} else {
			b.WriteRune(c)
		}
	}
	return b.String()
}
