package cluster

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"reversehttp/server/claim"
)

func TestAnyNodeForgetsLabelsThatOneReleasedWhichIsGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3)
	gone, others := w.nodes[0], w.nodes[1:]
	for _, label := range []string{"old", "taken"} {
		p := w.byHand(gone, label)
		p.call(http.MethodDelete, p.ClaimAnswer.Claim, "", nil)
	}
	w.kill(gone)
	n := others[0].node
	for released := 0; released < 2; time.Sleep(time.Millisecond) { // until its directory has them
		released = 0
		n.options.Engine.Released(0, func(string, uint64) bool { released++; return true })
	}
	w.byHand(others[1], "taken") // whose record is not that of a released label any more
	n.peers.bury(processOf{gone.name, gone.name + "-run"}, "test")
	forgotten := func(label string) bool {
		_, _, err := n.options.Engine.Look(t.Context(), label)
		if err != nil && !errors.Is(err, claim.ErrNoRecord) {
			t.Fatal(err)
		}
		return err != nil
	}
	for _, one := range others {
		forget(one.node, time.Hour)
	}
	if forgotten("old") {
		t.Error("a label is forgotten that was released a moment ago")
	}
	for !forgotten("old") { // once the nodes know that the first is gone
		for _, one := range others {
			forget(one.node, 0)
		}
	}
	if forgotten("taken") {
		t.Error("a label is forgotten that was claimed again")
	}
}
