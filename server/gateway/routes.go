package gateway

import (
	"net/http"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/rs/cors"

	"reversehttp/schema"
	"reversehttp/server/claim"
)

// routes is every route of the control origin.
func (g *Gateway) routes() *chi.Mux {
	r := chi.NewRouter()
	r.Use(cors.New(cors.Options{
		AllowedOrigins:      []string{"*"},
		AllowedMethods:      []string{"GET", "HEAD", "POST", "PATCH", "DELETE"},
		AllowedHeaders:      []string{"Accept", "Authorization", "Content-Type", "Last-Event-ID", "Prefer"},
		ExposedHeaders:      []string{"Location", "Link", "Retry-After", "Preference-Applied"},
		MaxAge:              int(g.options.Preflight.Seconds()),
		AllowPrivateNetwork: true,
	}).Handler)
	r.NotFound(func(w http.ResponseWriter, r *http.Request) {
		(&problem{code: schema.CodeNotFound}).write(w, r)
	})
	r.MethodNotAllowed(func(w http.ResponseWriter, req *http.Request) {
		for _, m := range []string{"GET", "HEAD", "POST", "PATCH", "DELETE"} {
			if r.Match(chi.NewRouteContext(), m, req.URL.Path) {
				w.Header().Add("Allow", m)
			}
		}
		(&problem{code: schema.CodeMethodNotAllowed}).write(w, req)
	})

	// HEAD is only for what a GET does not change: a poll acknowledges.
	look := func(path string, h http.Handler) {
		r.Method("GET", path, h)
		r.Method("HEAD", path, h)
	}

	look("/.well-known/reversehttp", http.HandlerFunc(g.discover))
	r.Post("/claims", g.open)
	r.With(g.owned).Get("/claims/{label}", g.inspect)
	r.With(g.owned).Patch("/claims/{label}", g.change)
	r.With(g.owned).Delete("/claims/{label}", g.remove)
	r.With(g.serving).Delete("/claims/{label}/sessions/{session}", g.leave)
	r.With(g.serving).Get("/claims/{label}/sessions/{session}/requests", g.poll)
	r.With(g.serving).Post("/claims/{label}/sessions/{session}/responses", g.answer)

	look("/healthz", http.HandlerFunc(g.health))
	look("/readyz", http.HandlerFunc(g.ready))
	look("/metrics", g.metrics.handler())
	for path, page := range g.options.Pages {
		look(path, page)
	}
	return r
}

// ServeHTTP serves the control origin and every claim.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer g.reportPanic()
	if c := connOf(r); c != nil {
		c.serve()
	}
	if g.stopping.Load() { // so that few connections are idle, and cut, at the end
		w.Header().Set("Connection", "close")
	}
	boundWrite(w, 0)
	if r.ContentLength != 0 { // for who does not read the content: net/http does, at the end
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(g.options.ContentGrace))
	}
	where, label := g.public.locate(r.Host, g.target(r), g.options.Loopback)
	p := misframed(w, r)
	if p == nil {
		p = g.oversize(r)
	}
	if p != nil {
		p.handed = claim.HandedNo
		g.refuse(w, r, p)
		return
	}
	switch where {
	case public:
		g.visit(w, r, label)
	case bare:
		g.redirectToSlash(w, r, label)
	case control:
		g.control.ServeHTTP(w, r)
	default:
		// Probes come by address. They learn nothing that rebinding could use.
		if r.URL.Path == "/healthz" || r.URL.Path == "/readyz" {
			g.control.ServeHTTP(w, r)
			return
		}
		g.refuse(w, r, &problem{code: schema.CodeWrongHost, handed: claim.HandedNo})
	}
}

// oversize refuses targets and fields beyond the bounds, and what is not as the
// visitor sent it.
func (g *Gateway) oversize(r *http.Request) *problem {
	if g.garbled(r) {
		return &problem{code: schema.CodeBadRequest, detail: "The request was not read as it was sent; send it on a connection of its own."}
	}
	if len(r.RequestURI) > g.options.TargetBytes {
		return &problem{code: schema.CodeTargetTooLong}
	}
	size, count := 0, 0
	for name, values := range r.Header {
		for _, v := range values {
			size += len(name) + len(v) + 4
			count++
		}
	}
	if size > g.options.FieldBytes || count > g.options.Fields {
		return &problem{code: schema.CodeFieldsTooLarge}
	}
	return nil
}

// health answers that the process runs.
func (g *Gateway) health(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusNoContent)
}

// ready answers whether new claims and visitors are welcome.
func (g *Gateway) ready(w http.ResponseWriter, r *http.Request) {
	if g.stopping.Load() {
		(&problem{code: schema.CodeDraining}).write(w, r)
		return
	}
	g.health(w, r)
}
