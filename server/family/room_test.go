package family

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"reversehttp/server/gateway"
)

// A connection has no more exchanges of all its claims together than its window has room for; others wait
// until one ends.
func TestExchangesOfAConnectionOfHTTP2FitItsWindow(t *testing.T) {
	defer func(was int) { mostOpen = was }(mostOpen)
	mostOpen = 3
	w := newTown(t, gateway.Options{})
	var origins []string
	for _, label := range []string{"one", "two"} {
		origins = append(origins, url.QueryEscape(strings.TrimSuffix(w.Public().Base(label), "/")))
	}
	var running, most atomic.Int64
	began, end := make(chan bool, 10), make(chan bool)
	w.serveOn(w.turned(fmt.Sprintf("GET /.well-known/ptth/%s/ HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer t0\r\n"+
		"Connection: upgrade\r\nUpgrade: ptth\r\nALPN: h2\r\n\r\n", strings.Join(origins, ","))),
		http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			most.Store(max(most.Load(), running.Add(1)))
			defer running.Add(-1)
			began <- true
			<-end
			_, _ = io.WriteString(rw, "done")
		}))
	waitFor(t, func() bool { return w.Registry().Stats().Polls == 2 })
	var visits []*visit
	for i := range 10 {
		visits = append(visits, w.visit("GET", []string{"one", "two"}[i%2], fmt.Sprintf("/%d", i), ""))
	}
	waitFor(t, func() bool { return w.Registry().Stats().Exchanges == 10 })
	for range mostOpen {
		<-began
	}
	for i := range visits {
		end <- true
		if i+mostOpen < len(visits) {
			<-began
		}
	}
	for _, v := range visits {
		v.got(200, "done")
	}
	if n := most.Load(); n != int64(mostOpen) {
		t.Errorf("%d at a time, want %d", n, mostOpen)
	}
}
