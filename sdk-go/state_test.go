package reversehttp

import (
	"fmt"
	"testing"
)

func TestAListenerMayChangeTheStateAndGetsAllChangesInOrder(t *testing.T) {
	var s standing
	var heard []State
	s.listener = func(to State) {
		heard = append(heard, to)
		if to == Reconnecting {
			s.set(Closed)
		}
	}
	s.set(Reconnecting)
	s.set(Online)
	if got, want := fmt.Sprint(heard, s.get()), "[reconnecting closed] closed"; got != want {
		t.Errorf("heard %s, want %s", got, want)
	}
}
