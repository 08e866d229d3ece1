package cluster

import (
	"io"
	"net/http"
	"sync"
	"testing"
)

func TestAnEntryIsKilledWhileItsVisitorsWait(t *testing.T) {
	t.Parallel()
	c := start(t, patient...)
	home, entry, other := c.All[0], c.All[1], c.All[2]
	const each = 4 // visitors of a label at a node
	begun, left, release := make(chan string, 100), make(chan string, 100), make(chan struct{})
	handler := func(w http.ResponseWriter, r *http.Request) {
		content, _ := io.ReadAll(r.Body)
		if r.URL.Path == "/held" {
			begun <- string(content)
			select {
			case <-r.Context().Done():
				left <- string(content)
				return
			case <-release:
			}
		}
		_, _ = w.Write(content)
	}
	labels := []string{"by-the-home", "by-the-entry"}
	for i, at := range []*Node{home, entry} { // both have the same home, and programs at different nodes
		by := c.lead(home)
		begin := serveBy(t, c, by.client(), labels[i], handler)
		by.to.Store(at)
		begin()
	}
	for _, label := range labels {
		c.answers(t, label, nil)
	}
	if keeps, err := home.Metric("reversehttp_claims "); keeps != 2 {
		t.Fatalf("%s keeps %v claims, %v, want 2", home.Name, keeps, err)
	}
	var visiting sync.WaitGroup
	for _, label := range labels {
		for range each {
			visiting.Go(func() { _, _, _ = post(entry, c.URLOf(label)+"held", "killed") })
			for _, at := range []*Node{home, other} {
				visiting.Go(func() {
					if status, got, err := post(at, c.URLOf(label)+"held", "lives"); status != http.StatusOK || got != "lives" {
						t.Errorf("a visitor of %s at %s: %d %q, %v", label, at.Name, status, got, err)
					}
				})
			}
		}
	}
	for range 3 * each * len(labels) {
		<-begun
	}
	entry.Kill()
	for range each * len(labels) {
		if who := <-left; who != "killed" {
			t.Errorf("the handler of a visitor of a node that lives learned that they left")
		}
	}
	for _, label := range labels {
		c.answers(t, label, entry)
	}
	close(release)
	visiting.Wait()
	if n := len(begun); n > 0 {
		t.Errorf("%d handlers began once more", n)
	}
	if n := len(left); n > 0 {
		t.Errorf("%d more handlers learned that their visitors left", n)
	}
	if keeps, err := home.Metric("reversehttp_claims "); keeps != 2 {
		t.Errorf("%s keeps %v claims after the end of the entry, %v, want 2", home.Name, keeps, err)
	}
	if err := entry.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, label := range labels {
		c.answers(t, label, nil)
	}
}
