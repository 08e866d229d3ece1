package account

import (
	"fmt"
	"os"
	"sync"
)

// watched is a file that is read again when it changes. The zero value has no file.
type watched struct {
	path string
	take func(content []byte) error // uses the content, or returns why it is invalid
	mu   sync.Mutex                 // guards state, and is held while take runs
	// state is the state of the file at the last look.
	state string
}

// look calls take if the file changed, and reports whether it did.
func (w *watched) look() (changed bool, err error) {
	if w.path == "" {
		return false, nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	state := "gone"
	info, err := os.Stat(w.path)
	if err == nil {
		state = fmt.Sprintln(info.ModTime().UnixNano(), info.Size())
	}
	if state == w.state {
		return false, err
	}
	w.state = state
	if err != nil {
		return true, err
	}
	content, err := os.ReadFile(w.path)
	if err != nil {
		return true, err
	}
	return true, w.take(content)
}
