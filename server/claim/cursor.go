package claim

import (
	"strconv"
	"strings"
)

const (
	// cursorPrefix is how much of its session's id a cursor has.
	cursorPrefix = 6
	// mostNumber bounds what a cursor that the gateway does not remember may say.
	mostNumber = 1 << 53
)

// cursorOf returns the cursor of a session's nth message. It names the session, so that one kept
// from an older session is refused rather than misread.
func cursorOf(session string, n uint64) string {
	var room [64]byte
	b := append(strconv.AppendUint(room[:0], n, 10), '-')
	return string(append(b, session[:cursorPrefix]...))
}

// numberOf reads a cursor of a session, whether it was given out or not. It fails with
// [ErrBadCursor].
func numberOf(session, cursor string) (uint64, error) {
	digits, ok := strings.CutSuffix(cursor, "-"+session[:cursorPrefix])
	n, err := strconv.ParseUint(digits, 10, 64)
	if !ok || err != nil || n > mostNumber || digits != strconv.FormatUint(n, 10) {
		return 0, ErrBadCursor
	}
	return n, nil
}
