package cluster

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"reversehttp/schema"
	"reversehttp/server/cluster/engine"
)

func TestSessionsOfAnEndedClaimAreServedByAnyNode(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3)
	home, other := w.nodes[0], w.nodes[2]
	p := w.byHand(home, "demo")
	visited := make(chan int, 1)
	go func() {
		status, _, err := w.visitAt(w.nodes[1], http.MethodGet, "demo", "/", "")
		if err != nil {
			t.Error(err)
		}
		visited <- status
	}()
	id := p.poll()
	p.client = &http.Client{Transport: dialing(other)}
	p.call(http.MethodDelete, p.Claim, "", nil)
	for other.node.Has("demo") {
		time.Sleep(5 * time.Millisecond)
	}
	if got := p.answer(id); len(got) != 1 || got[0].Status != schema.ResultAccepted {
		t.Errorf("the answer to a request from before the end: %+v, want accepted", got)
	}
	if status := <-visited; status != http.StatusOK {
		t.Errorf("its visitor: %d, want 200", status)
	}
	var why struct{ Code schema.Code }
	if p.call(http.MethodGet, p.Requests, "", &why); why.Code != schema.CodeClaimDeleted {
		t.Errorf("a poll: %q, want %s", why.Code, schema.CodeClaimDeleted)
	}
	if again := w.byHand(other, "demo"); w.home("demo") != other || again.Requests == p.Requests {
		t.Errorf("the label is claimed again at %v, want the node that was asked", w.home("demo"))
	}
}

func TestANodeThatHasNotHeardOfTheEndOfAClaimServesItsSessions(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	home, other := w.nodes[0], w.nodes[1]
	p := w.byHand(home, "demo")
	for !other.node.Has("demo") {
		time.Sleep(5 * time.Millisecond)
	}
	w.engine.Hold(other.name)
	p.call(http.MethodDelete, p.Claim, "", nil)
	p.client = &http.Client{Transport: dialing(other)}
	var why struct{ Code schema.Code }
	if p.call(http.MethodGet, p.Requests, "", &why); why.Code != schema.CodeClaimDeleted || !other.node.Has("demo") {
		t.Errorf("a poll: %q, want %s", why.Code, schema.CodeClaimDeleted)
	}
}

func TestARequestOfAnotherNodesVisitorIsReplayed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	home, other := w.nodes[0], w.nodes[1]
	p := w.byHand(home, "demo")
	var claim schema.ClaimAnswer
	p.call(http.MethodPost, "http://gateway.example/claims", `{"label":"demo","token":"secret","inspect":true}`, &claim)
	p.ClaimAnswer = claim
	visited := make(chan error, 1)
	go func() {
		_, _, err := w.visitAt(other, http.MethodPost, "demo", "/hook", "hello")
		visited <- err
	}()
	id := p.poll()
	p.answer(id)
	if err := <-visited; err != nil {
		t.Fatal(err)
	}
	p.client = &http.Client{Transport: dialing(other)}
	var replay schema.ReplayAnswer
	p.call(http.MethodPost, claim.Exchanges+"/"+id+"/replay", "{}", &replay)
	if again := p.poll(); again != replay.ID || replay.ID == "" {
		t.Errorf("the program gets %q, want the replay %q", again, replay.ID)
	}
	if got := p.answer(replay.ID); len(got) != 1 || got[0].Status != schema.ResultAccepted {
		t.Errorf("the answer to the replay: %+v, want accepted", got)
	}
}

func TestWhereAClaimWasKeptIsKnownForAWhile(t *testing.T) {
	t.Parallel()
	var p past
	for i := range mostPast + 1 {
		p.ended(fmt.Sprint("demo", i), engine.Home{Node: "a", Term: 1})
	}
	if _, known := p.home("demo0"); !known {
		t.Error("the first is not known")
	}
	if _, known := p.home(fmt.Sprint("demo", mostPast)); known || len(p.homes) > mostPast {
		t.Errorf("%d are known, want %d at most", len(p.homes), mostPast)
	}
	long := time.Now().Add(-2 * pastTime)
	for label, h := range p.homes {
		h.at = long
		p.homes[label] = h
	}
	if _, known := p.home("demo0"); known {
		t.Error("the first is known for ever")
	}
	p.pruned = long
	p.ended("demo", engine.Home{Node: "a", Term: 2})
	if h, known := p.home("demo"); len(p.homes) != 1 || !known || h.Term != 2 {
		t.Errorf("%v of %d, want the last alone", h, len(p.homes))
	}
}
