package cluster

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"reversehttp/e2e/cluster/check"
	"reversehttp/schema"
)

// byHand is a program at a node that is written without an SDK, and has one request at a time.
type byHand struct {
	t  *testing.T
	at *http.Client
	to *check.Recorder
	schema.ClaimAnswer
}

// claimByHand claims a label at a node.
func claimByHand(t *testing.T, c *Nodes, at *Node, label string, to *check.Recorder) *byHand {
	t.Helper()
	p := &byHand{t: t, at: dialing(at.Address), to: to}
	p.call(http.MethodPost, c.URL()+"/claims", fmt.Sprintf(`{"label":%q,"token":%q}`, label, token), &p.ClaimAnswer)
	return p
}

// call sends a request, and decodes the response.
func (p *byHand) call(method, url, content string, into any) {
	p.t.Helper()
	r, err := http.NewRequestWithContext(p.t.Context(), method, url, strings.NewReader(content))
	if err != nil {
		p.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Content-Type", "application/json")
	resp, err := p.at.Do(r)
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusNoContent { // of a poll
		return
	}
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil || resp.StatusCode >= 300 {
		p.t.Fatal(resp.Status, err)
	}
}

// begin takes the next request, and records that its handler begins.
func (p *byHand) begin() schema.Request {
	p.t.Helper()
	var batch struct{ Messages []schema.Request }
	for len(batch.Messages) == 0 {
		p.call(http.MethodGet, p.Requests, "", &batch)
	}
	r := batch.Messages[0]
	p.to.Record(check.Event{Kind: check.Begin, ID: visitOf(r), Exchange: r.ID, Attempt: r.Attempt})
	return r
}

// answer answers a request, and records the result.
func (p *byHand) answer(r schema.Request) {
	p.t.Helper()
	id := visitOf(r)
	p.to.Record(check.Event{Kind: check.Answer, ID: id, Exchange: r.ID, Content: id})
	var got schema.Results
	p.call(http.MethodPost, p.Responses, fmt.Sprintf(`{"messages":[{"type":"response","id":%q,"status":200,"body":%q}]}`, r.ID, id), &got)
	p.to.Record(check.Event{Kind: check.Answered, ID: id, Exchange: r.ID, Do: string(got.Results[0].Status)})
}

// visitOf returns the id of the visit that a request belongs to, which is in its query.
func visitOf(r schema.Request) string {
	at, err := url.Parse(r.Target)
	if err != nil {
		return ""
	}
	return at.Query().Get("id")
}

// visitBy sends a request with an id for a label to a node, and records it.
func visitBy(c *Nodes, at *Node, to *check.Recorder, id, method, label string) {
	r, err := http.NewRequest(method, c.URLOf(label)+"?id="+id, http.NoBody)
	if err != nil {
		panic(err)
	}
	recordVisit(dialing(at.Address), r, at, to, id, label)
}

// said notes what a response says.
func said(over *check.Event, resp *http.Response, content []byte) {
	over.Status, over.Content = resp.StatusCode, string(content)
	var problem struct {
		Code string `json:"code"`
	}
	if resp.StatusCode >= 400 && json.Unmarshal(content, &problem) == nil {
		over.Code = problem.Code
	}
	if _, handed, is := strings.Cut(resp.Header.Get("Proxy-Status"), "handed="); is && over.Code != "" {
		over.Handed, _, _ = strings.Cut(handed, ";")
	}
}

// history returns a recorder, and how to read what it has recorded.
func history(t *testing.T) (to *check.Recorder, read func() []check.Event) {
	var all bytes.Buffer
	to = check.NewRecorder(&all)
	return to, func() []check.Event {
		t.Helper()
		if err := to.Flush(); err != nil {
			t.Fatal(err)
		}
		events, err := check.Read(&all)
		if err != nil {
			t.Fatal(err)
		}
		return events
	}
}

func TestAnAnswerThatItsVisitorsNodeNeverGetsIsNotAccepted(t *testing.T) {
	t.Parallel()
	c := startWithCables(t, patient...)
	home, entry := c.All[0], c.All[1]
	to, read := history(t)
	p := claimByHand(t, c, home, "demo", to)
	visited := make(chan struct{})
	visit := func(id string) {
		defer func() { visited <- struct{}{} }()
		visitBy(c, entry, to, id, http.MethodPost, "demo")
	}
	go visit("whole")
	p.answer(p.begin())
	<-visited
	go visit("cut")
	begun := p.begin() // so the entry has noted it
	to.Record(check.Event{Kind: check.Fault, Node: entry.Name, Do: "cut"})
	home.FromPeers.Cut()
	p.answer(begun)
	<-visited
	home.FromPeers.Mend()
	to.Record(check.Event{Kind: check.Mended, Node: entry.Name, Do: "cut"})
	events := read()
	for _, v := range check.Check(events) {
		t.Error(v)
	}
	for _, e := range events {
		if e.Kind == check.Visited && e.ID == "whole" && e.Status != http.StatusOK || e.Kind == check.Visited && e.ID == "cut" && e.Status == http.StatusOK {
			t.Errorf("%s got %d, so the cable was not cut when it should", e.ID, e.Status)
		}
	}
}

func TestNoVisitorIsPromisedThatNoHandlerHadWhatOneBegan(t *testing.T) {
	t.Parallel()
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			c := start(t)
			home, entry := c.All[0], c.All[1]
			to, read := history(t)
			p := claimByHand(t, c, home, "demo", to)
			visited := make(chan struct{})
			go func() {
				defer close(visited)
				visitBy(c, entry, to, "begun", method, "demo")
			}()
			p.begin()
			to.Record(check.Event{Kind: check.Fault, Node: home.Name, Do: check.Kill})
			home.Kill() // and its program comes to no other node
			<-visited
			events := read()
			for _, v := range check.Check(events) {
				if v.Rule != "I4" { // there is no program that could answer
					t.Error(v)
				}
			}
			if last := events[len(events)-1]; last.Status < http.StatusInternalServerError || last.Code == "" {
				t.Errorf("the visitor got %+v, want a problem", last)
			}
		})
	}
}
