// Package gateway assembles a gateway from its parts: visitors, the control API for programs, other
// doors, and the claims that connect them. See routes.go for where each request goes, and
// schema/README.md for the protocol.
package gateway

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/prometheus/client_golang/prometheus"

	"reversehttp/server/account"
	"reversehttp/server/admin"
	"reversehttp/server/admission"
	"reversehttp/server/audit"
	"reversehttp/server/claim"
	"reversehttp/server/control"
	"reversehttp/server/domain"
	"reversehttp/server/door"
	"reversehttp/server/intake"
	"reversehttp/server/policy"
	"reversehttp/server/problem"
	"reversehttp/server/publicurl"
	"reversehttp/server/quota"
	"reversehttp/server/recording"
	"reversehttp/server/strangers"
	"reversehttp/server/trace"
	"reversehttp/server/trust"
	"reversehttp/server/visit"
	"reversehttp/server/wire"
)

// Options configure a gateway. Zero members mean the defaults.
type Options struct {
	// PublicURL is the template of public URLs. Empty means
	// "http://{label}.localhost:8080/".
	PublicURL string
	// Loopback says that only this machine can connect. Then loopback addresses also name the
	// control origin.
	Loopback bool
	// TrustedProxies are the addresses of proxies that are trusted to name the visitor, and
	// TrustedField is the field, one of [trust.Fields], in which they do. Empty means no proxies
	// and [trust.DefaultField].
	TrustedProxies []netip.Prefix
	TrustedField   string

	// AllowOrigins are the origins of web pages that may use a local gateway in addition to those
	// of this machine, such as "https://app.example". "null" allows any page with an opaque origin,
	// which every site can create. A gateway that is not local allows all pages. Nil means none.
	AllowOrigins []string

	// Public makes the gateway safe to open to strangers: visitors are warned before pages of
	// theirs, labels that look like brands are refused, and abuse can be reported.
	Public bool
	// SecurityContact is a URI for reports of vulnerabilities. Empty means the page for abuse if
	// Public is set, and none otherwise.
	SecurityContact string
	// AbuseLog receives reports of abuse in addition to Audit. Nil means Audit alone.
	AbuseLog *audit.Log

	// Keys lets only their holders claim. Empty means anyone.
	Keys []string
	// Accounts are the accounts that claim with their own keys and own labels. Nil means none.
	Accounts *account.Directory
	// Quotas bound what claims use. The zero value means no bounds.
	Quotas Quotas
	// Reserved are labels that nobody may claim. Nil means [admission.Reserved];
	// an empty list means none.
	Reserved []string
	// Owned maps labels to the only token that may claim each, even if the label is reserved. Nil
	// means none.
	Owned map[string]string
	// SharedTokens are tokens that programs may choose however short they are. Other chosen tokens
	// need at least [claim.ShortestToken] characters unless the gateway is local. Nil means none.
	SharedTokens []string
	// ClaimsPerSecond bounds POST /claims from one address, with bursts of twenty times as many.
	// Default 50, or no bound if the gateway is local (see [Gateway.Local]); negative means no
	// bound.
	ClaimsPerSecond float64
	// VisitsPerSecond bounds visitors' requests from one address in the same way. Default no bound.
	VisitsPerSecond float64

	// Traces are the traces that the gateway begins for requests without a valid traceparent. Empty
	// means [trace.Sampled].
	Traces trace.Begin

	// Times and Limits are those of the core. AddressClaims is 20 by default, and 1,000 if the
	// gateway is local.
	Times  claim.Times
	Limits claim.Limits
	// InlineBytes is the most content of a request that travels in its envelope.
	// Default 65,536.
	InlineBytes int
	// FramedInlineBytes is the most content of a request that travels beside its envelope in the
	// framed form, if that is more than InlineBytes. Default 262,144.
	FramedInlineBytes int
	// ContentBytes is the most content of a request. Default 64 GiB.
	ContentBytes int
	// PartBytes is the most content of a part of an answer. Default 262,144.
	PartBytes int
	// AnswerBytes is the largest POST of answers. Default 16 MiB.
	AnswerBytes int
	// LinkWindow is how much content may be unconfirmed on a link, in bytes. Default a share of the
	// memory budget.
	LinkWindow int
	// TargetBytes, FieldBytes and Fields bound a request head. Defaults 16,384
	// bytes, 65,536 bytes and 256 fields.
	TargetBytes, FieldBytes, Fields int
	// FieldTime is how long a request head may take. Default 10 s.
	FieldTime time.Duration
	// ContentRate is the slowest rate, in bytes a second, at which content may arrive after a grace
	// period. For a visitor that period is the claim's timeout, for a program it is ContentGrace.
	// Defaults 1,024 and 10 s.
	ContentRate  int
	ContentGrace time.Duration
	// ContentPause is the longest that a visitor may pause while the gateway waits for more of
	// their content. Default 40 s.
	ContentPause time.Duration
	// Idle is how long a connection stays open between requests. Default 2 min.
	Idle time.Duration
	// Preflight is how long a browser may cache the answer to a CORS preflight. Default 2 h.
	Preflight time.Duration
	// Drain is how long exchanges may still run after the gateway begins to stop. Default 30 s.
	Drain time.Duration
	// DrainDelay is the least time that the port stays open after the gateway begins to stop, so
	// that load balancers notice that it is not ready. Default 0.
	DrainDelay time.Duration
	// LastRequests is how long connections accepted before the port closed may take to send a
	// request. Default 250 ms.
	LastRequests time.Duration
	// ClosePort closes the port to new connections. [Gateway.Drain] calls it once. Nil means that
	// the caller of Drain closes the port afterwards.
	ClosePort func()

	// Domains maps domains to the labels that the operator assigned them to. A claim of that label
	// needs no DNS record for the domain. Nil means none.
	Domains map[string]string
	// DomainSecret is the key from which the record values that prove ownership of other domains
	// are derived. Nil means a new random one.
	DomainSecret []byte
	// SharedDomains is where the nodes of a cluster keep which domain leads to which label. Nil means
	// that there are no other nodes.
	SharedDomains domain.Shared
	// LookupTXT returns the TXT records of a DNS name. Nil means the resolver of the machine.
	LookupTXT func(ctx context.Context, name string) ([]string, error)

	// Doors returns the protocols, besides the control API, by which programs can serve claims. Nil
	// means none.
	Doors func(*door.Host) []door.Door
	// Elsewhere is the other nodes of a cluster. Nil means that there are none.
	Elsewhere Elsewhere
	// NotReady returns why the gateway takes no requests although it does not stop, for people, or
	// "". Nil always returns "".
	NotReady func() string
	// Metrics are shown along with those of the gateway. Nil means none.
	Metrics []prometheus.Collector
	// Pages are handlers for GET at the control origin, by path. Nil means none. If
	// [problem.GuidePath] is among them, problems link to it.
	Pages map[string]http.Handler
	// Records store claims, and so who owns which label. Nil means that claims end with the
	// process.
	Records claim.Records
	// Withdrawn stores which labels the operator took down. Nil means that takedowns end with the
	// process.
	Withdrawn admission.WithdrawnRecords
	// Kept are the claims read from Records, which New restores. Nil means none.
	Kept []claim.Kept
	// Audit receives changes of claims and actions of the operator. Nil means that they are not
	// logged.
	Audit *audit.Log
	// Log receives log messages. Nil means that they are dropped.
	Log *slog.Logger
}

func (o Options) withDefaults() Options {
	set := func(n *int, to int) {
		if *n == 0 {
			*n = to
		}
	}
	setTime := func(d *time.Duration, to time.Duration) {
		if *d == 0 {
			*d = to
		}
	}
	if o.PublicURL == "" {
		o.PublicURL = "http://{label}.localhost:8080/"
	}
	if o.Reserved == nil {
		o.Reserved = admission.Reserved
	}
	if o.Traces == "" {
		o.Traces = trace.Sampled
	}
	if o.VisitsPerSecond == 0 {
		o.VisitsPerSecond = -1
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.DomainSecret == nil {
		o.DomainSecret = []byte(rand.Text())
	}
	set(&o.InlineBytes, 65_536)
	set(&o.FramedInlineBytes, 262_144)
	set(&o.ContentBytes, 64<<30)
	set(&o.PartBytes, 262_144)
	set(&o.AnswerBytes, 16<<20)
	set(&o.TargetBytes, 16_384)
	set(&o.FieldBytes, 65_536)
	set(&o.Fields, 256)
	set(&o.ContentRate, 1_024)
	setTime(&o.FieldTime, 10*time.Second)
	setTime(&o.ContentGrace, 10*time.Second)
	setTime(&o.ContentPause, 40*time.Second)
	setTime(&o.Idle, 2*time.Minute)
	setTime(&o.Preflight, 2*time.Hour)
	setTime(&o.Drain, 30*time.Second)
	setTime(&o.LastRequests, 250*time.Millisecond)
	return o
}

// Gateway is the whole product as one [http.Handler]. Serve it with [wire.Port.Server] and a
// listener of its Port.
type Gateway struct {
	*wire.Port
	*Hosts
	// Admin is the operator's API, to be served on a port of its own.
	Admin *admin.API
	// Ready reports whether the gateway accepts new claims and visitors: it does not stop.
	Ready    func() bool
	options  Options
	public   *publicurl.Template
	registry *claim.Registry
	control  http.Handler
	carrier  *carrier // nil if there are no other nodes
	doors    []door.Door
	metrics  *metrics
	claims   *control.Claims
	polls    *control.Polls
	answers  *control.Answers
	links    *control.Links
	recorder *recording.Recorder
	recorded *control.Recordings
	replays  *control.Replays
	policies *policy.Policies
	shares   *control.Shares
	visits   *visit.Visits
	desk     *strangers.Desk // nil unless abuse can be reported
	local    bool            // see Local
	origins  *origins
	trust    trust.Peers
	guide    *problem.Guide // nil without its page
	stopping stopping
	upkeep   upkeep
	quotas   *quota.Book // nil if nothing is counted
	panics   prometheus.Counter
}

// New returns a gateway. Its error names the invalid option and says what to do.
func New(o Options) (*Gateway, error) {
	o = o.withDefaults()
	u, err := publicurl.Parse(o.PublicURL)
	if err != nil {
		return nil, err
	}
	g := &Gateway{options: o, public: u}
	if o.Pages[problem.GuidePath] != nil {
		g.guide = problem.NewGuide(strings.TrimSuffix(u.Control, "/") + problem.GuidePath)
	}
	g.stopping.watched = make(chan struct{})
	g.Ready = func() bool { return !g.stopping.begun.Load() }
	g.local = o.Loopback && publicurl.IsLocalName(u.ControlHost)
	if g.origins, err = newOrigins(&o, g.local); err != nil {
		return nil, err
	}
	g.trust = trust.Peers{Proxies: o.TrustedProxies, Field: o.TrustedField, Anonymous: o.Loopback && !g.local && len(o.TrustedProxies) == 0}
	if o.ClaimsPerSecond == 0 && !g.local {
		o.ClaimsPerSecond = 50
	}
	if o.Limits.AddressClaims == 0 {
		o.Limits.AddressClaims = 20
		if g.local {
			o.Limits.AddressClaims = 1_000
		}
	}
	admitted := &admission.Admission{Keys: admission.NewKeys(o.Keys), Rate: g.rate(o.ClaimsPerSecond), Trust: g.trust, Owned: o.Owned, Accounts: o.Accounts}
	var weak func(label, token string) bool
	if !g.local { // a local gateway sees one address only, that of this machine
		admitted.Guesses, weak = admission.NewGuesses(), admission.NewWeak(o.Owned, o.SharedTokens)
	}
	g.quotas = newBook(&o)
	o.Times.Released, o.Limits.Released = remembered(&o, g.local)
	g.metrics = newMetrics(g)
	if g.quotas != nil {
		g.metrics.registry.MustRegister(usageMetrics{g.quotas, o.Accounts})
	}
	g.metrics.registry.MustRegister(o.Metrics...)
	g.panics = newPanics(g.metrics)
	g.recorder = recording.New(recordingBytes(o.Limits.Memory))
	withdrawn, err := admission.NewWithdrawn(o.Withdrawn)
	if err != nil {
		return nil, err
	}
	o.Kept = withoutWithdrawn(&o, withdrawn)
	g.policies = newPolicies(g)
	domains := domain.New(domain.Options{Public: u, Secret: o.DomainSecret, Listed: o.Domains, Lookup: o.LookupTXT, Shared: o.SharedDomains, Log: o.Log})
	termed := termed{g.policies, g.recorder, domains, g.metrics}
	g.registry = claim.New(claim.Options{
		Given: admitted.Given,
		Tap:   termed.tap, Untap: termed.untap, Fits: termed.fits(u),
		Times: o.Times, Limits: o.Limits, Reserved: newReserved(&o), Withdrawn: withdrawn.Has, Belongs: admitted.Belongs, Quotas: quotasOf(g.quotas), Weak: weak, Log: o.Log, Ended: g.ended, Noted: notary{&g.options, withdrawn}.noted, SessionEnded: g.metrics.endSession, Records: o.Records, Kept: o.Kept, OneAddress: g.local,
	})
	g.Hosts = &Hosts{u, g.registry, domains, o.Elsewhere}
	bounds := control.Bounds{
		InlineBytes: o.InlineBytes, FramedInlineBytes: max(o.FramedInlineBytes, o.InlineBytes), ContentBytes: o.ContentBytes, PartBytes: o.PartBytes, AnswerBytes: o.AnswerBytes, Fields: o.Fields, FieldBytes: o.FieldBytes,
	}
	pace := intake.Pace{Grace: o.ContentGrace, Rate: o.ContentRate, Pause: o.ContentPause}
	envelopes := control.Envelopes{Public: u, InlineBytes: o.InlineBytes}
	g.claims = &control.Claims{Registry: g.registry, Domains: domains, Envelopes: envelopes, Admission: admitted, Bounds: bounds, Pace: pace, Family: g.family, Log: o.Log, Quotas: g.quotas, Others: othersOf(o.Elsewhere)}
	g.claims.CookiesShared = !g.local && u.SharesCookies()
	g.polls = &control.Polls{Registry: g.registry, Envelopes: envelopes, FramedInlineBytes: bounds.FramedInlineBytes, Delivered: g.metrics.deliver, Trust: g.trust, Guide: g.guide}
	g.answers = &control.Answers{Registry: g.registry, Domains: domains, Public: u, Bounds: bounds, Pace: pace, Judged: g.metrics.judge, Log: o.Log}
	g.links = &control.Links{Claims: g.claims, Envelopes: envelopes, Answers: g.answers, Polls: g.polls, Window: o.LinkWindow, Trust: g.trust, Recorder: g.recorder}
	g.recorded = &control.Recordings{Claims: g.claims, Recorder: g.recorder, Stops: g.stopping.watched}
	g.policies.Budget = g.registry.Options().Budget
	g.shares = &control.Shares{Claims: g.claims, New: g.policies.Share, End: g.policies.EndShares}
	g.replays = control.NewReplays(g.claims, g.recorder, g.trust, o.TargetBytes, o.Traces)
	g.visits = &visit.Visits{
		Registry: g.registry, Public: u, Trust: g.trust, Withdrawn: withdrawn, Rate: g.rate(o.VisitsPerSecond),
		ContentRate: o.ContentRate, ContentPause: o.ContentPause, InlineBytes: o.InlineBytes, ContentBytes: o.ContentBytes, Traces: o.Traces,
		Gates: visit.Gates{Judge: g.policies.Judge, Absent: g.policies.Absent, Refused: termed.refused},
	}
	g.visits.Quotas = g.quotas
	if o.Elsewhere != nil {
		g.visits.EntryOf = o.Elsewhere.EntryOf
	}
	letStrangersIn(g, &o, admitted)
	g.Port = newPort(g)
	g.Admin = &admin.API{
		Registry: g.registry, Recorder: g.recorder, Public: u, Withdrawn: withdrawn,
		Metrics: g.metrics.handler(), Ready: g.ready, Serves: g.Serves, Audit: o.Audit, Guide: g.guide, Log: o.Log, Panicked: g.panics.Inc,
	}
	if o.Doors != nil {
		g.doors = o.Doors(&door.Host{
			Entrance: &door.Entrance{Claims: g.registry, Admission: admitted, Refuses: g.origins.mayEnter},
			Relay: &door.Relay{
				Registry: g.registry, Public: u, Bounds: bounds, TargetBytes: o.TargetBytes, Pace: pace,
				Delivered: g.metrics.deliver, Judged: g.metrics.judge, Log: o.Log,
			},
			State: g.claims.State,
			Guide: g.guide,
		})
	}
	g.upkeep = upkeep{g: g, admitted: admitted}
	g.upkeep.start()
	withdrawn.Elsewhere(g.upkeep.takeDown)
	routes := g.routes()
	g.control, g.carrier = routes, newCarrier(g, routes)
	if g.carrier != nil {
		g.visits.Moved = g.carrier.visits
	}
	if err := u.Apart(pathsOf(routes)); err != nil {
		g.Close()
		return nil, err
	}
	return g, nil
}

// recordingBytes returns how much memory recordings may take, in bytes, if everything else may take
// memory bytes. That is half of what the process may take, and recordings get a tenth of it.
func recordingBytes(memory int64) int64 {
	if memory <= 0 {
		return usualRecordings
	}
	return memory / 5
}

// usualRecordings is how much recordings may take, in bytes, if memory is not bounded.
const usualRecordings = 64 << 20

// rate returns a bound on how often an address does something, or no bound if visitors cannot be
// distinguished.
func (g *Gateway) rate(perSecond float64) *admission.Rate {
	if g.trust.Anonymous {
		perSecond = -1
	}
	return admission.NewRate(perSecond)
}

// Local reports whether only this machine can reach the gateway: it listens on loopback, and the
// host of its public URLs is a loopback address, localhost or a name below it. The limits for
// strangers are relaxed then.
func (g *Gateway) Local() bool { return g.local }

// Anonymous reports whether all visitors appear to have one address: the gateway listens on
// loopback, its public URLs are those of a proxy in front of it, and no proxy is trusted to name
// visitors. Nothing is limited by address then.
func (g *Gateway) Anonymous() bool { return g.trust.Anonymous }

// pathsOf returns the patterns of all routes.
func pathsOf(routes chi.Routes) (paths []string) {
	_ = chi.Walk(routes, func(_, pattern string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
		paths = append(paths, pattern)
		return nil
	})
	return paths
}

// Public returns the template of the gateway's public URLs.
func (g *Gateway) Public() *publicurl.Template { return g.public }

// Registry returns the registry of claims.
func (g *Gateway) Registry() *claim.Registry { return g.registry }

// Close stops the timers and closes the port. The gateway must not be used afterwards.
func (g *Gateway) Close() {
	g.upkeep.close()
	g.registry.Close()
	g.domains.Close()
	g.links.Close()
	g.replays.Close()
	g.Port.Close()
	g.quotas.Close()
}

// ended counts and logs an exchange that ended.
func (g *Gateway) ended(e claim.Ended) {
	g.metrics.count(e)
	if !g.options.Log.Enabled(context.Background(), slog.LevelDebug) {
		return
	}
	attrs := []any{"label", e.Claim.Label(), "exchange", e.Exchange.ID(), "outcome", e.Outcome.String(), "queued", e.Queued, "handled", e.Handled}
	if req := e.Exchange.Request(); req != nil {
		attrs = append(attrs, "method", req.Method)
		if id := trace.ID(req.Traceparent); id != "" {
			attrs = append(attrs, "trace_id", id)
		}
	}
	if e.Err != nil {
		attrs = append(attrs, "error", e.Err.Error())
	}
	g.options.Log.Debug("exchange ended", attrs...)
}
