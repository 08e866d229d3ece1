// Package admin is what a gateway does for its operator, on a port of its own: figures, profiles, and calls that
// change what strangers may. Strangers do not reach that port, and web pages that the operator looks at may not use it.
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

// API is the operator's side of a gateway. All its members are set before it is served, and do not change.
type API struct {
	// Metrics answers with the figures of the gateway.
	Metrics http.Handler
	// Ready answers whether the gateway lets visitors and programs in.
	Ready http.HandlerFunc
	// Registry has the claims, Recorder what was recorded of them, and Public their URLs.
	Registry *claim.Registry
	Recorder *recording.Recorder
	Public   *publicurl.Template
	// Withdrawn are the labels that were taken down.
	Withdrawn *admission.Withdrawn
	// Backup writes the store as it is at one moment. Nil means that there is none.
	Backup func(io.Writer) error
	// Audit gets every call that may change or tell more than figures. Nil means nowhere.
	Audit *audit.Log
	// Log gets what goes wrong. Panicked is called after a panic.
	Log      *slog.Logger
	Panicked func()

	copying sync.Mutex // held while a backup is made
}

const (
	// contentTime is how long the content of a call may take.
	contentTime = 10 * time.Second
	// mostProfile is how long a profile may be taken, and usualProfile for how long it is.
	mostProfile, usualProfile = 120 * time.Second, 30 * time.Second
)

// routes returns every route of the port.
func (a *API) routes() http.Handler {
	r := chi.NewRouter()
	r.NotFound(func(w http.ResponseWriter, r *http.Request) {
		problem.New(schema.CodeNotFound, "There is nothing at this path of the admin address. It has /metrics, /healthz, /readyz, /takedowns, /backup and /debug/pprof/.").Write(w, r)
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
	r.Post("/takedowns", a.takeDown)
	r.Get("/takedowns", a.takenDown)
	r.Delete("/takedowns/{label}", a.restoreLabel)
	r.Get("/backup", a.backup)
	r.Get("/debug/pprof/", pprof.Index)
	r.Get("/debug/pprof/profile", timed(pprof.Profile))
	r.Get("/debug/pprof/trace", timed(pprof.Trace))
	r.Get("/debug/pprof/symbol", pprof.Symbol)
	// The command line is left out: it may hold keys.
	for _, name := range []string{"allocs", "block", "goroutine", "heap", "mutex", "threadcreate"} {
		r.Method("GET", "/debug/pprof/"+name, timed(pprof.Handler(name).ServeHTTP))
	}
	return r
}

// timed bounds for how long a profile is taken.
func timed(take http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if s := r.URL.Query().Get("seconds"); s != "" {
			n, err := strconv.ParseFloat(s, 64)
			if err != nil || !(n >= 0 && n <= mostProfile.Seconds()) {
				problem.New(schema.CodeBadRequest, fmt.Sprintf("seconds is a number from 0 to %d; without it a profile takes %d.", int(mostProfile.Seconds()), int(usualProfile.Seconds()))).Write(w, r)
				return
			}
		}
		take(w, r)
	}
}

// serve serves a request that may be served.
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

// looks are the paths whose calls are not written down: they are asked all the time, and change nothing.
var looks = map[string]bool{"/metrics": true, "/healthz": true, "/readyz": true}

// mostNoted bounds what is written down of a call, in bytes.
const mostNoted = 256

// cut returns as much of what a caller says as is written down.
func cut(s string) string { return s[:min(len(s), mostNoted)] }

// addressOf returns the address of a caller as it is written down; empty for one on a socket of a file.
func addressOf(r *http.Request) string { return audit.Address(trust.Peers{}.Address(r)) }

// paced has the peer take what is written to it, however long that comes after the request.
type paced struct {
	http.ResponseWriter
	status int
}

// WriteHeader notes the status.
func (p *paced) WriteHeader(status int) {
	p.status = status
	p.ResponseWriter.WriteHeader(status)
}

// Write writes with a bound on its time.
func (p *paced) Write(b []byte) (int, error) {
	wire.BoundWrite(p.ResponseWriter, len(b))
	return p.ResponseWriter.Write(b)
}

// Unwrap is for [http.ResponseController].
func (p *paced) Unwrap() http.ResponseWriter { return p.ResponseWriter }
