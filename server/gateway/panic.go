package gateway

import (
	"fmt"
	"net/http"
	"runtime/debug"

	"github.com/prometheus/client_golang/prometheus"
)

func newPanics(of *metrics) prometheus.Counter {
	c := prometheus.NewCounter(prometheus.CounterOpts{Name: "reversehttp_panics_total", Help: "Panics while a request was served: bugs of the gateway."})
	of.registry.MustRegister(c)
	return c
}

// reportPanic is deferred by who serves a request. net/http would log a panic
// with the noise of connections, so it is logged here, without the request,
// which may hold secrets. The peer sees a cut: what it got is not whole.
func (g *Gateway) reportPanic() {
	v := recover()
	if v == nil {
		return
	}
	if v != http.ErrAbortHandler {
		g.panics.Inc()
		g.options.Log.Error("panic while serving a request", "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
	}
	panic(http.ErrAbortHandler)
}
