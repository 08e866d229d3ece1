package gateway

import (
	"net/http"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/rs/cors"

	"reversehttp/schema"
	"reversehttp/server/claim"
	"reversehttp/server/control"
	"reversehttp/server/field"
	"reversehttp/server/intake"
	"reversehttp/server/problem"
	"reversehttp/server/publicurl"
	"reversehttp/server/wire"
)

// routes returns all routes of the control origin.
func (g *Gateway) routes() *chi.Mux {
	r := chi.NewRouter()
	r.Use(g.origins.guard, g.shared)
	r.NotFound(func(w http.ResponseWriter, r *http.Request) {
		for _, d := range g.doors {
			if d.Otherwise != nil && d.Otherwise(w, r) {
				return
			}
		}
		(&problem.Problem{Code: schema.CodeNotFound}).Write(w, r)
	})
	r.MethodNotAllowed(func(w http.ResponseWriter, req *http.Request) {
		for _, m := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"} {
			if r.Match(chi.NewRouteContext(), m, req.URL.Path) {
				w.Header().Add("Allow", m)
			}
		}
		(&problem.Problem{Code: schema.CodeMethodNotAllowed}).Write(w, req)
	})

	// HEAD is offered only where GET is safe; a poll is not, since it acknowledges.
	look := func(path string, h http.Handler) {
		r.Method("GET", path, h)
		r.Method("HEAD", path, h)
	}

	look("/.well-known/reversehttp", http.HandlerFunc(g.claims.Discover))
	r.Post("/claims", g.claims.Open)
	look("/usage", http.HandlerFunc(g.claims.Usage))
	look("/claims/{label}", g.claims.Looking(http.HandlerFunc(g.claims.Inspect)))
	r.With(g.claims.Owned).Patch("/claims/{label}", g.claims.Change)
	r.With(g.claims.Owned).Delete("/claims/{label}", g.claims.Remove)
	r.With(g.claims.Serving).Delete("/claims/{label}/sessions/{session}", g.claims.Leave)
	r.With(g.claims.Serving).Get("/claims/{label}/sessions/{session}/requests", g.polls.Poll)
	r.With(g.claims.Serving).Post("/claims/{label}/sessions/{session}/responses", g.answers.Answer)
	r.With(g.claims.Serving).Get("/claims/{label}/sessions/{session}/exchanges/{exchange}/content", control.Fetch)
	r.With(g.claims.Serving).Post("/claims/{label}/sessions/{session}/exchanges/{exchange}/response", g.answers.Raw)
	look("/claims/{label}/exchanges", g.claims.Looking(http.HandlerFunc(g.recorded.List)))
	look("/claims/{label}/exchanges/{exchange}", g.claims.Looking(http.HandlerFunc(g.recorded.One)))
	r.With(g.claims.Owned).Delete("/claims/{label}/exchanges", g.recorded.Clear)
	r.With(g.claims.Owned).Post("/claims/{label}/shares", g.shares.Make)
	r.With(g.claims.Owned).Delete("/claims/{label}/shares", g.shares.Remove)
	r.With(g.claims.Owned).Post("/claims/{label}/exchanges/{exchange}/replay", g.replays.Replay)
	r.Get("/claims/{label}/sessions/{session}/link", g.links.Link)
	r.Connect("/claims/{label}/sessions/{session}/link", g.links.Link)
	for _, d := range g.doors {
		if d.Routes != nil {
			d.Routes(r)
		}
	}

	if g.desk != nil {
		look("/.well-known/security.txt", http.HandlerFunc(g.desk.Security))
	}
	if g.desk != nil && g.options.Public {
		look("/abuse", http.HandlerFunc(g.desk.Ask))
		r.Post("/abuse", g.desk.Take)
	}
	look("/healthz", http.HandlerFunc(g.health))
	look("/readyz", http.HandlerFunc(g.ready))
	if g.local {
		look("/metrics", g.Admin.Metrics)
	} else {
		look("/metrics", http.HandlerFunc(figuresElsewhere))
	}
	for at, page := range g.options.Pages {
		look(at, g.atControl(at, page))
	}
	return r
}

// figuresElsewhere answers /metrics on the public port, where strangers may ask, and says where the
// operator finds the metrics.
func figuresElsewhere(w http.ResponseWriter, r *http.Request) {
	problem.New(schema.CodeNotFound, "The figures of this gateway are for its operator: /metrics is at the address of --admin-listen.").Write(w, r)
}

// shared answers CORS for every origin; origins has refused the others before. It allows access to
// a more private network only for pages that the operator lists.
func (g *Gateway) shared(next http.Handler) http.Handler {
	answering := func(private bool) http.Handler {
		return cors.New(cors.Options{
			AllowedOrigins:      []string{"*"},
			AllowedMethods:      []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"},
			AllowedHeaders:      []string{"*"}, // fields of POST {responseUrl} have any name
			ExposedHeaders:      []string{"Location", "Link", "Retry-After", "Preference-Applied", "Requesting-Client"},
			MaxAge:              int(g.options.Preflight.Seconds()),
			AllowPrivateNetwork: private,
		}).Handler(next)
	}
	toAll, toListed := answering(false), answering(true)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/metrics": // only for the operator and pages of this origin
			next.ServeHTTP(w, r)
		case g.origins.listed[canonical(r.Header.Get("Origin"))]:
			toListed.ServeHTTP(w, r)
		default:
			toAll.ServeHTTP(w, r)
		}
	})
}

// atControl redirects pages requested under another name of this machine to the control origin:
// URLs that the gateway returns are there, and the policy of a page allows requests to its own
// origin only. It compares names without ports, since a port may be forwarded. Files that pages and
// programs load, such as /sdk.js, have an extension and are served under any name.
func (g *Gateway) atControl(at string, page http.Handler) http.Handler {
	if path.Ext(at) != "" || !g.options.Loopback || !publicurl.IsLoopback(g.public.ControlHost) {
		return page
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if publicurl.Hostname(r.Host) == g.public.ControlHost {
			page.ServeHTTP(w, r)
			return
		}
		to := strings.TrimSuffix(g.public.Control, "/") + at
		if r.URL.RawQuery != "" {
			to += "?" + r.URL.RawQuery
		}
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("Location", to)
		w.WriteHeader(http.StatusTemporaryRedirect)
	})
}

// ServeHTTP serves the control origin and every claim.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer wire.Recover(g.options.Log, "panic while serving a request", g.panics.Inc)
	wire.BoundWrite(w, 0)
	if r.Trailer == nil && r.Body != http.NoBody { // lets copies of r see trailers that were not announced
		r.Trailer = http.Header{}
	}
	if r.ContentLength != 0 { // for handlers that leave the body unread: net/http reads it at the end
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(g.options.ContentGrace))
	}
	where, label, at := g.locate(r.Host, wire.Target(r), g.options.Loopback)
	if where != publicurl.Public {
		wire.Taken(r)
	}
	if g.stopping.begun.Load() && (where != publicurl.Control || g.stopping.told.Load()) {
		// Visitors should reconnect elsewhere, so that few connections are idle and cut at the end. Programs
		// keep theirs until they are asked to come back: they still have answers to send, and the port may be
		// closed to new connections.
		w.Header().Set("Connection", "close")
	}
	fields, bytes := countFields(r)
	p := g.oversize(w, r, fields, bytes)
	hold := g.registry.Options().Budget.Open(g.trust.Address(r))
	defer hold.Close()
	if p == nil && !hold.Grow(intake.WeightOf(r, fields, bytes)) {
		p = intake.NoRoom()
	}
	if p != nil {
		p.Handed = claim.HandedNo
		intake.Refuse(w, r, p)
		return
	}
	switch where {
	case publicurl.Public:
		c := g.registry.Lookup(label)
		if c == nil && g.carrier != nil {
			if g.carrier.visits(w, r, label, hold, nil) {
				return
			}
			c = g.registry.Lookup(label) // it may have come here meanwhile
		}
		visits := g.visits
		if at != nil {
			visits = visits.At(at)
		}
		visits.Serve(w, r, label, c, hold)
	case publicurl.Bare:
		g.visits.RedirectToSlash(w, r, label)
	case publicurl.Control:
		r = intake.WithHold(r, hold)
		if g.carrier != nil {
			g.carrier.program(w, r, g.control)
		} else {
			g.control.ServeHTTP(w, r)
		}
	default:
		// Probes come by address. Their answers hold nothing that DNS rebinding could exploit.
		if r.URL.Path == "/healthz" || r.URL.Path == "/readyz" {
			g.control.ServeHTTP(w, r)
			return
		}
		intake.Refuse(w, r, &problem.Problem{Code: schema.CodeWrongHost, Handed: claim.HandedNo})
	}
}

// countFields returns the number of fields of r and their size in bytes.
func countFields(r *http.Request) (fields, bytes int) {
	for name, values := range r.Header {
		bytes += field.SizeOf(name, values)
		fields += len(values)
	}
	return fields, bytes
}

// oversize returns a problem for targets and fields beyond the bounds, invalid targets, and
// requests that net/http does not present as they were sent.
func (g *Gateway) oversize(w http.ResponseWriter, r *http.Request, fields, bytes int) *problem.Problem {
	if detail := wire.Malformed(r); detail != "" {
		return &problem.Problem{Code: schema.CodeBadRequest, Detail: detail}
	}
	if !validForm(r) {
		return &problem.Problem{Code: schema.CodeBadRequest, Detail: "The request target is neither a path nor a URL with a host."}
	}
	if len(r.RequestURI) > g.options.TargetBytes {
		return &problem.Problem{Code: schema.CodeTargetTooLong}
	}
	if bytes > g.options.FieldBytes || fields > g.options.Fields {
		cookies := field.SizeOf("Cookie", r.Header["Cookie"])
		if clearsCookies(g.public) && bytes-cookies <= g.options.FieldBytes && fields-len(r.Header["Cookie"]) <= g.options.Fields {
			w.Header().Set("Clear-Site-Data", `"cookies"`)
		}
		return &problem.Problem{Code: schema.CodeFieldsTooLarge}
	}
	if field.TooManyNamed(r.Header["Connection"]) {
		return &problem.Problem{Code: schema.CodeFieldsTooLarge, Detail: "Connection names more than " + strconv.Itoa(field.MostNamed) + " fields."}
	}
	return nil
}

// clearsCookies reports whether browsers should drop cookies when a request has too many: if claims
// have hosts of their own, a page of one can set cookies for all.
func clearsCookies(p *publicurl.Template) bool { return p.PathPrefix == "" }

// validForm reports whether the target has one of the forms of RFC 9112, 3.2. net/http also accepts
// URLs without a host.
func validForm(r *http.Request) bool {
	target := r.RequestURI
	if strings.HasPrefix(target, "/") || target == "*" || r.Method == http.MethodConnect {
		return true
	}
	_, rest, _ := strings.Cut(target, ":")
	rest, ok := strings.CutPrefix(rest, "//")
	return ok && strings.IndexAny(rest, "/?") != 0 && rest != ""
}

// health answers 204: the process runs.
func (g *Gateway) health(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusNoContent)
}

// ready answers 204 while the gateway accepts new claims and visitors, and a problem while it
// stops.
func (g *Gateway) ready(w http.ResponseWriter, r *http.Request) {
	if g.stopping.begun.Load() {
		w.Header().Set("Connection", "close")
		(&problem.Problem{Code: schema.CodeDraining}).Write(w, r)
		return
	}
	if g.options.NotReady != nil {
		if why := g.options.NotReady(); why != "" {
			problem.New(schema.CodeUnavailable, why).Write(w, r)
			return
		}
	}
	g.health(w, r)
}
