package family

import (
	"fmt"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"reversehttp/schema"
	"reversehttp/schema/vectors"
	"reversehttp/server/claim"
	"reversehttp/server/gateway"
)

// A door that kept an exchange would keep some fifty objects of it.
func TestVisitorsWhoLeaveLeaveNoMemoryBehindAtAnyDoor(t *testing.T) {
	const leavers = 60
	for _, d := range vectors.Doors().Doors {
		if apart[d.Name] != "" {
			continue // it differs from ptth-h2 only in its opening
		}
		t.Run(d.Name, func(t *testing.T) {
			// The memory of two minutes lasts only a moment here.
			w := newTown(t, gateway.Options{Times: claim.Times{Tombstone: 100 * time.Millisecond, NoPoller: time.Second}})
			here := make(chan chan struct{})
			programs[d.Name](w, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				if m, _ := r.Context().Value(toldKey{}).(schema.Request); m.Type == schema.TypeCancel {
					return
				}
				mayEnd := make(chan struct{})
				here <- mayEnd
				<-mayEnd
			}))
			for range 15 { // the first visitors create objects that all share
				w.leave(here)
			}
			before := w.objects()
			for range leavers {
				w.leave(here)
			}
			var after int
			defer func() { t.Logf("%d visitors left %d objects", leavers, after-before) }()
			waitFor(t, func() bool {
				after = w.objects()
				return after < before+2*leavers
			})
		})
	}
}

// leave makes a visitor come, and leave once a handler has the request. The handler may end when the gateway
// knows.
func (w *town) leave(here <-chan chan struct{}) {
	w.t.Helper()
	waitFor(w.t, func() bool { return w.Registry().Stats().Polls > 0 })
	c, err := net.Dial("tcp", w.address) // without a clean-up function, which would stay in memory
	if err != nil {
		w.t.Fatal(err)
	}
	defer c.Close()
	if _, err := fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: %s\r\nContent-Length: 1000\r\n\r\n%s", w.authority(), strings.Repeat("a", 1000)); err != nil {
		w.t.Fatal(err)
	}
	var mayEnd chan struct{}
	select {
	case mayEnd = <-here:
	case <-time.After(patience):
		w.t.Fatal("the handler has no request")
	}
	_ = c.Close()
	waitFor(w.t, func() bool { return w.Registry().Stats().Exchanges == 0 })
	close(mayEnd)
}

// objects counts the live objects on the heap.
func (w *town) objects() int {
	runtime.GC()
	runtime.GC() // pools release unused objects in the second collection
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapObjects)
}
