package cluster

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	reversehttp "reversehttp/sdk-go"
)

// transports are all ways in which the SDK serves.
var transports = []reversehttp.Transport{reversehttp.TransportPoll, reversehttp.TransportStream, reversehttp.TransportFramed, reversehttp.TransportLink}

func TestANodeHandsItsClaimsOverBeforeItEnds(t *testing.T) {
	for _, by := range transports {
		t.Run(string(by), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 3)
			var counted sync.Map // how often each POST was begun
			var held sync.WaitGroup
			let := make(chan struct{})
			w.serve("demo", func(rw http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodPost {
					n, _ := counted.LoadOrStore(r.URL.Path, new(atomic.Int64))
					n.(*atomic.Int64).Add(1)
				}
				if strings.HasPrefix(r.URL.Path, "/held") {
					held.Done()
					<-let
				}
				echo(rw, r)
			}, by)
			home := w.home("demo")

			var visiting sync.WaitGroup
			visit := func(at *testNode, path string) {
				sent := "content of " + path
				status, got, err := w.visitAt(at, http.MethodPost, "demo", path, sent)
				if status != http.StatusOK || got != sent {
					t.Errorf("%s at %s: %d %q, %v", path, at.name, status, got, err)
				}
			}
			const waiting = 6
			held.Add(waiting)
			for i := range waiting {
				visiting.Go(func() { visit(w.other(home, i), fmt.Sprint("/held/", i)) })
			}
			held.Wait()
			stop := make(chan struct{})
			for i := range 6 {
				visiting.Go(func() {
					for n := 0; ; n++ {
						select {
						case <-stop:
							return
						default:
							visit(w.nodes[(i+n)%len(w.nodes)], fmt.Sprintf("/%d/%d", i, n))
						}
					}
				})
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			home.node.Leave(ctx)
			if to := w.home("demo"); to == nil || to == home {
				t.Error("the claim is not at another node")
			}
			close(let)
			time.Sleep(200 * time.Millisecond) // of requests at the new home
			close(stop)
			visiting.Wait()
			all := 0
			counted.Range(func(path, n any) bool {
				if all++; n.(*atomic.Int64).Load() != 1 {
					t.Errorf("POST %s was begun %d times", path, n.(*atomic.Int64).Load())
				}
				return true
			})
			t.Log(all, "requests")
		})
	}
}
