package claim

import (
	"strconv"
	"strings"
)

const (
	// cursorPrefix is how many characters of the session's id a cursor has.
	cursorPrefix = 6
	// mostNumber bounds the number in a cursor that the gateway does not remember.
	mostNumber = 1 << 53
)

// cursorOf returns the cursor of a session's nth message. The cursor names the session, so that one
// of an older session is refused rather than misread.
func cursorOf(session string, n uint64) string {
	var room [64]byte
	b := append(strconv.AppendUint(room[:0], n, 10), '-')
	return string(append(b, session[:cursorPrefix]...))
}

// numberOf returns the number in a cursor of a session, given out or not. It fails with
// [ErrBadCursor].
func numberOf(session, cursor string) (uint64, error) {
	digits, ok := strings.CutSuffix(cursor, "-"+session[:cursorPrefix])
	n, err := strconv.ParseUint(digits, 10, 64)
	if !ok || err != nil || n > mostNumber || digits != strconv.FormatUint(n, 10) {
		return 0, ErrBadCursor
	}
	return n, nil
}
