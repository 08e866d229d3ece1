package abuse

import (
	"bufio"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// mostNames is how many names the Connection fields of a request may have.
const mostNames = 256

// connectionNames makes a Connection field with a number of names.
func connectionNames(n int) string { return strings.TrimSuffix(strings.Repeat("a,", n), ",") }

// nameConnections sends requests whose Connection names as many fields as fit into the bytes allowed for
// fields.
func nameConnections(t *testing.T, w *world) {
	for _, c := range []struct {
		name   string
		fields []string
		want   string
	}{
		{"as many names as may be", []string{connectionNames(mostNames)}, "200"},
		{"one name more", []string{connectionNames(mostNames + 1)}, "431 fields_too_large"},
		{"one name more, in two fields", []string{connectionNames(mostNames / 2), connectionNames(mostNames/2 + 1)}, "431 fields_too_large"},
		{"29,000 names", []string{connectionNames(29_000)}, "431 fields_too_large"},
	} {
		if got := visitWith(w, attacker(0), c.fields...); got != c.want {
			t.Errorf("GET with %s in Connection = %s, want %s", c.name, got, c.want)
		}
	}
	var ends tally
	var attackers sync.WaitGroup
	each := sized(25, 250)
	for i := range 16 {
		attackers.Go(func() {
			for range each {
				ends.add(visitWith(w, attacker(i), connectionNames(29_000)))
			}
		})
	}
	w.goOn("names come in Connection", 50)
	attackers.Wait()
	t.Logf("16 × %d requests with 29,000 names in Connection: %s", each, &ends)
	if got := ends.count("431 fields_too_large"); got != 16*each {
		t.Errorf("%d requests with 29,000 names in Connection: %s; want all 431 fields_too_large", 16*each, &ends)
	}
}

// visitWith visits an honest claim from an address with Connection fields, and names the end.
func visitWith(w *world, from source, connection ...string) string {
	c := from.dial(w.t, w.gateway)
	defer c.Close()
	var fields strings.Builder
	for _, names := range connection {
		fmt.Fprintf(&fields, "Connection: %s\r\n", names)
	}
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		_, _ = fmt.Fprintf(c, "GET /named HTTP/1.1\r\nHost: %s\r\n%s\r\n", hostOf(w.polled.URL()), fields.String())
	}()
	defer func() { <-sent }()
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	return endOfResponse(resp, err)
}
