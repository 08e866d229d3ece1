package gateway

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"reversehttp/schema"
	"reversehttp/server/audit"
	"reversehttp/server/budget"
	"reversehttp/server/claim"
	"reversehttp/server/problem"
)

// metrics are the metrics of one gateway, in a registry of their own.
type metrics struct {
	registry *prometheus.Registry
	ended    *prometheus.CounterVec
	// done and accepted are counters of ended and results, kept at hand because nearly all
	// exchanges need them.
	done, accepted  prometheus.Counter
	queued, handled prometheus.Histogram
	sent, received  prometheus.Counter
	// first and again count deliveries.
	first, again     prometheus.Counter
	results, leaving *prometheus.CounterVec
	// refused counts requests that policies of claims refused.
	refused *prometheus.CounterVec
}

func newMetrics(g *Gateway) *metrics {
	m := &metrics{registry: prometheus.NewRegistry()}
	gauge := func(name, help string, of func(claim.Stats) int) {
		m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 {
			return float64(of(g.registry.Stats()))
		}))
	}
	gauge("reversehttp_claims", "Current claims.", func(s claim.Stats) int { return s.Claims })
	gauge("reversehttp_sessions", "Current sessions.", func(s claim.Stats) int { return s.Sessions })
	gauge("reversehttp_polls_parked", "Open polls.", func(s claim.Stats) int { return s.Polls })
	gauge("reversehttp_exchanges_open", "Exchanges in progress.", func(s claim.Stats) int { return s.Exchanges })
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "reversehttp_recordings_bytes", Help: "Memory that recordings take, in bytes.",
	}, func() float64 { return float64(g.recorder.Bytes()) }))
	m.budget(g)
	m.audit(g.options.Audit)
	m.ended = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "reversehttp_exchanges_total", Help: "Completed exchanges, by outcome, and by code if the gateway answered.",
	}, []string{"outcome", "code"})
	m.done = m.ended.WithLabelValues(claim.Done.String(), "")
	buckets := prometheus.ExponentialBuckets(0.0005, 4, 10)
	m.queued = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "reversehttp_queue_seconds", Help: "Seconds from the start of an exchange until its first delivery, or its end.", Buckets: buckets,
	})
	m.handled = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "reversehttp_handle_seconds", Help: "Seconds from the first delivery of an exchange to its end.", Buckets: buckets,
	})
	bytes := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "reversehttp_content_bytes_total", Help: "Bytes of content transferred.",
	}, []string{"of"})
	m.sent, m.received = bytes.WithLabelValues("request"), bytes.WithLabelValues("response")
	deliveries := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "reversehttp_deliveries_total", Help: "Requests delivered to sessions, for the first time and again.",
	}, []string{"time"})
	m.first, m.again = deliveries.WithLabelValues("first"), deliveries.WithLabelValues("again")
	m.results = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "reversehttp_results_total", Help: "Messages of programs, by result.",
	}, []string{"status"})
	m.refused = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "reversehttp_policy_refusals_total", Help: "Requests that the policy of their claim refused, by code.",
	}, []string{"code"})
	m.leaving = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "reversehttp_sessions_ended_total", Help: "Ended sessions, by reason.",
	}, []string{"reason"})
	// Each series exists, as 0, before it is first counted.
	for _, status := range []schema.ResultStatus{
		schema.ResultAccepted, schema.ResultDuplicate, schema.ResultConflict, schema.ResultLate, schema.ResultUnknown, schema.ResultInvalid,
	} {
		m.results.WithLabelValues(string(status))
	}
	m.accepted = m.results.WithLabelValues(string(schema.ResultAccepted))
	for _, why := range []claim.SessionEnd{claim.SessionLeft, claim.SessionLost, claim.SessionClaimEnded} {
		m.leaving.WithLabelValues(string(why))
	}
	m.registry.MustRegister(m.ended, m.queued, m.handled, bytes, deliveries, m.results, m.leaving, m.refused, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// budget exports how much memory and how many connections the budget allows, how much is in use,
// and how often some was reclaimed.
func (m *metrics) budget(g *Gateway) {
	each := func(r budget.Resource) prometheus.Labels { return prometheus.Labels{"of": r.String()} }
	for _, r := range []budget.Resource{budget.Memory, budget.Exchanges, budget.Connections, budget.Claims} {
		m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "reversehttp_held", Help: "Resources that visitors and programs hold: bytes of memory, or a count.", ConstLabels: each(r),
		}, func() float64 { return float64(g.registry.Options().Budget.Held(r)) }))
		m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "reversehttp_held_limit", Help: "Limit of each resource.", ConstLabels: each(r),
		}, func() float64 { return float64(g.registry.Options().Budget.Has(r)) }))
		m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "reversehttp_evictions_total", Help: "Slow peers that were disconnected to make room for others, by scarce resource.", ConstLabels: each(r),
		}, func() float64 { return float64(g.registry.Options().Budget.Evicted(r)) }))
		m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "reversehttp_refusals_total", Help: "Refusals for want of room, by scarce resource.", ConstLabels: each(r),
		}, func() float64 { return float64(g.registry.Options().Budget.Refused(r)) }))
	}
}

// audit exports how many entries of the audit log were written and lost.
func (m *metrics) audit(log *audit.Log) {
	for name, of := range map[string]func() uint64{"written": log.Written, "lost": log.Lost} {
		m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "reversehttp_audit_" + name + "_total", Help: "Entries of the audit log that were " + name + ".",
		}, func() float64 { return float64(of()) }))
	}
}

func newPanics(of *metrics) prometheus.Counter {
	c := prometheus.NewCounter(prometheus.CounterOpts{Name: "reversehttp_panics_total", Help: "Panics while serving requests: bugs in the gateway."})
	of.registry.MustRegister(c)
	return c
}

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

// deliver counts the exchanges of a batch.
func (m *metrics) deliver(b *claim.Batch) {
	for _, one := range b.Messages {
		switch {
		case one.Cancel != "":
		case one.Attempt > 1:
			m.again.Inc()
		default:
			m.first.Inc()
		}
	}
}

// judge counts the result of a program's message.
func (m *metrics) judge(status schema.ResultStatus) {
	if status == schema.ResultAccepted {
		m.accepted.Inc()
		return
	}
	m.results.WithLabelValues(string(status)).Inc()
}

// endSession counts an ended session.
func (m *metrics) endSession(why claim.SessionEnd) { m.leaving.WithLabelValues(string(why)).Inc() }

// answeredByGate is the outcome of an exchange that a gate answered without any program.
const answeredByGate = "gate"

// count counts an exchange that ended.
func (m *metrics) count(e claim.Ended) {
	switch {
	case e.Outcome == claim.Done:
		m.done.Inc()
	case e.Absent:
		m.ended.WithLabelValues(answeredByGate, "").Inc()
	default:
		m.ended.WithLabelValues(e.Outcome.String(), string(problem.CodeOf(e.Err))).Inc()
	}
	m.queued.Observe(e.Queued.Seconds())
	if e.Handled > 0 {
		m.handled.Observe(e.Handled.Seconds())
	}
	m.sent.Add(float64(e.Sent))
	m.received.Add(float64(e.Received))
}
