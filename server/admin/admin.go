// Package admin serves the operator of a gateway on a port of its own: metrics, profiles, and calls
// such as takedowns and backups. Strangers cannot reach that port, and web pages that the operator
// visits cannot use it.
package admin

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/pprof"
	"strconv"
	"sync"
	"time"

	"github.com/go-chi/chi/v5"

	"reversehttp/schema"
	"reversehttp/server/admission"
	"reversehttp/server/audit"
	"reversehttp/server/claim"
	"reversehttp/server/problem"
	"reversehttp/server/publicurl"
	"reversehttp/server/recording"
	"reversehttp/server/trust"
	"reversehttp/server/wire"
)

// API is the operator's API of a gateway. Set all members before serving it, and do not change them
// afterwards.
type API struct {
	// Metrics answers with the metrics of the gateway.
	Metrics http.Handler
	// Ready answers whether the gateway accepts visitors and programs.
	Ready http.HandlerFunc
	// Serves reports whether visitors reach a host name now. Nil means that they reach none.
	Serves func(host string) bool
	// Registry has the claims, Recorder their recordings, and Public their URLs.
	Registry *claim.Registry
	Recorder *recording.Recorder
	Public   *publicurl.Template
	// Withdrawn are the labels that were taken down.
	Withdrawn *admission.Withdrawn
	// Backup writes a snapshot of the store. Nil means that there is no store.
	Backup func(io.Writer) error
	// Audit receives every call except those for metrics and health. Nil means that calls are not
	// logged.
	Audit *audit.Log
	// Guide is what problems link to. Nil means nothing.
	Guide *problem.Guide
	// Log receives errors. Panicked is called after a panic.
	Log      *slog.Logger
	Panicked func()

	copying sync.Mutex // held while a backup is made
}

const (
	// contentTime bounds how long the content of a call may take.
	contentTime = 10 * time.Second
	// mostProfile is the longest duration of a profile, and usualProfile the default.
	mostProfile, usualProfile = 120 * time.Second, 30 * time.Second
)

// routes returns every route of the port.
func (a *API) routes() http.Handler {
	r := chi.NewRouter()
	r.NotFound(func(w http.ResponseWriter, r *http.Request) {
		problem.New(schema.CodeNotFound, "There is nothing at this path of the admin address. It has /metrics, /healthz, /readyz, /serves, /takedowns, /backup and /debug/pprof/.").Write(w, r)
	})
	r.MethodNotAllowed(func(w http.ResponseWriter, r *http.Request) {
		problem.New(schema.CodeMethodNotAllowed, "").Write(w, r)
	})
	look := func(path string, h http.Handler) {
		r.Method("GET", path, h)
		r.Method("HEAD", path, h)
	}
	look("/metrics", a.Metrics)
	look("/readyz", a.Ready)
	look("/healthz", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	look("/serves", http.HandlerFunc(a.serves))
	r.Post("/takedowns", a.takeDown)
	r.Get("/takedowns", a.takenDown)
	r.Delete("/takedowns/{label}", a.restoreLabel)
	r.Get("/backup", a.backup)
	r.Get("/debug/pprof/", pprof.Index)
	r.Get("/debug/pprof/profile", timed(pprof.Profile))
	r.Get("/debug/pprof/trace", timed(pprof.Trace))
	r.Get("/debug/pprof/symbol", pprof.Symbol)
	// The command line is left out, since it may hold keys.
	for _, name := range []string{"allocs", "block", "goroutine", "heap", "mutex", "threadcreate"} {
		r.Method("GET", "/debug/pprof/"+name, timed(pprof.Handler(name).ServeHTTP))
	}
	return r
}

// serves answers whether visitors reach the host that the parameter domain names. A proxy that obtains certificates on
// demand asks before it does: "ask" of Caddy's on_demand_tls.
func (a *API) serves(w http.ResponseWriter, r *http.Request) {
	if host := r.URL.Query().Get("domain"); host == "" || a.Serves == nil || !a.Serves(host) {
		problem.New(schema.CodeNotFound, "The gateway serves no host that the parameter domain names.").Write(w, r)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// timed bounds the duration of a profile.
func timed(take http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if s := r.URL.Query().Get("seconds"); s != "" {
			n, err := strconv.ParseFloat(s, 64)
			if err != nil || !(n >= 0 && n <= mostProfile.Seconds()) {
				problem.New(schema.CodeBadRequest, fmt.Sprintf("seconds must be a number from 0 to %d. Default: %d.", int(mostProfile.Seconds()), int(usualProfile.Seconds()))).Write(w, r)
				return
			}
		}
		take(w, r)
	}
}

// serve serves a request that was let in.
func (a *API) serve(routes http.Handler, w http.ResponseWriter, r *http.Request) {
	defer wire.Recover(a.Log, "panic while serving the operator", a.Panicked)
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if r.ContentLength != 0 {
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(contentTime))
	}
	p := &paced{ResponseWriter: w, status: http.StatusOK}
	if !looks[r.URL.Path] {
		defer func() {
			a.Audit.Note(audit.Entry{Event: audit.AdminCall, Address: addressOf(r), Method: cut(r.Method), Path: cut(r.URL.Path), Status: p.status})
		}()
	}
	routes.ServeHTTP(p, r)
}

// looks are the paths whose calls are not logged, because they are frequent and change nothing.
var looks = map[string]bool{"/metrics": true, "/healthz": true, "/readyz": true, "/serves": true}

// mostNoted bounds what is logged of a call, in bytes.
const mostNoted = 256

// cut shortens text of a caller to what is logged.
func cut(s string) string { return s[:min(len(s), mostNoted)] }

// addressOf returns the address of a caller as it is logged. It is empty for a caller on a Unix
// socket.
func addressOf(r *http.Request) string { return audit.Address(trust.Peers{}.Address(r)) }

// paced sets a new deadline for each write, so that answers may come long after their requests.
type paced struct {
	http.ResponseWriter
	status int
}

// WriteHeader notes the status.
func (p *paced) WriteHeader(status int) {
	p.status = status
	p.ResponseWriter.WriteHeader(status)
}

// Write writes within a deadline.
func (p *paced) Write(b []byte) (int, error) {
	wire.BoundWrite(p.ResponseWriter, len(b))
	return p.ResponseWriter.Write(b)
}

// Unwrap is for [http.ResponseController].
func (p *paced) Unwrap() http.ResponseWriter { return p.ResponseWriter }
