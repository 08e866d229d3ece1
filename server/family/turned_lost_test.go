package family

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"reversehttp/server/gateway"
)

func TestARequestMovesOnWhenItsConnectionIsLost(t *testing.T) {
	for name, turn := range ways {
		t.Run(name, func(t *testing.T) {
			w := newTown(t, gateway.Options{})
			first := turn(w)
			had := make(chan struct{}, 2)
			w.serveOn(first, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				had <- struct{}{}
				<-r.Context().Done()
			}))
			waitFor(t, func() bool { return w.Registry().Stats().Polls == 1 })
			get := w.visit("GET", "demo", "/", "")
			<-had
			post := (*visit)(nil)
			if strings.HasSuffix(name, "h2") {
				post = w.visit("POST", "demo", "/", "x")
				<-had
			}
			first.Conn.Close()
			w.serveOn(turn(w), http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				_, _ = io.WriteString(rw, "second")
			}))
			get.got(200, "second")
			if post != nil {
				post.got(502, "*")
				if got := post.resp.Header.Get("Proxy-Status"); !strings.Contains(got, "connection_terminated") {
					t.Errorf("Proxy-Status = %q, want that of session_lost", got)
				}
			}
		})
	}
}

func TestAServerThatGoesAwayLosesNothing(t *testing.T) {
	w := newTown(t, gateway.Options{})
	release, began := make(chan struct{}), make(chan struct{})
	first := w.serveOn(ways["ptth with h2"](w), http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			close(began)
			<-release
		}
		_, _ = io.WriteString(rw, "first")
	}))
	slow := w.visit("POST", "demo", "/slow", "x")
	<-began
	left := make(chan error, 1)
	w.ends.Go(func() { left <- first.Shutdown(context.Background()) })
	w.serveOn(ways["ptth with h2"](w), http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(rw, "second") }))
	waitFor(t, func() bool { // the GOAWAY is there
		v := w.visit("POST", "demo", "/", "x")
		<-v.done
		if v.err != nil || v.resp.StatusCode != 200 {
			t.Fatalf("a request while the server goes away: %+v %v", v.resp, v.err)
		}
		return v.body == "second"
	})
	close(release)
	slow.got(200, "first")
	if err := <-left; err != nil && !errors.Is(err, http.ErrServerClosed) {
		t.Errorf("shutdown: %v", err)
	}
}

func TestTheProgramOfATurnedConnectionIsProbed(t *testing.T) {
	eachWay(t, http.NotFoundHandler(), func(t *testing.T, w *town, _ string) {
		waitFor(t, func() bool { return w.probed.Load() == 1 })
	})
}
