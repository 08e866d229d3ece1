package engine

import (
	"encoding/json"
	"testing"
	"testing/synctest"
	"time"
)

func TestThatANodeHasLeftIsKnownForADay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := newNodes(nil, "a", "1")
		leave := func(name string) {
			value, err := json.Marshal(Node{Name: name, Run: "1"})
			if err != nil {
				t.Fatal(err)
			}
			n.take(event{key: name, value: value, at: time.Now()})
			n.take(event{key: name, at: time.Now()})
		}
		leave("b")
		if !n.Left("b", "1") || n.Left("b", "2") {
			t.Errorf("run 1 has left: %v, run 2: %v; want the first alone", n.Left("b", "1"), n.Left("b", "2"))
		}
		time.Sleep(leftTime + time.Second)
		leave("c")
		if n.Left("b", "1") || len(n.left) != 1 {
			t.Errorf("a day later %v is known, want what happened last", n.left)
		}
	})
}
