package reversehttp

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"reversehttp/schema"
)

// Options configure a session. The zero value and nil are valid.
type Options struct {
	// Label is the name to claim. Empty: the gateway picks a readable one.
	Label string
	// Token owns the claim. Give the token of an earlier Session to get its label back. Empty: the
	// gateway mints one.
	Token string
	// Key lets the program claim at a gateway that requires one. Empty: no key is shown.
	Key string

	// Lease is how long the claim lives while nobody polls, in whole seconds (a fraction counts as one).
	// Zero: the gateway's default, or what the claim has already.
	Lease time.Duration
	// Timeout is how long a visitor waits for the handler's answer.
	// Zero: the gateway's default, or what the claim has already.
	Timeout time.Duration
	// Redeliver says which requests may go to another session after this one is lost with them.
	// Empty: those with an idempotent method, or what the claim has already.
	Redeliver Redeliver
	// Inspect makes the gateway record exchanges for the owner to look at, at [Session.Exchanges];
	// see schema/README.md, section 13. False: what the claim has already; a new claim records
	// nothing.
	Inspect bool
	// Policy is what the gateway enforces before a request reaches the handler; see schema/README.md, section 14.
	// Nil: what the claim has already; a new claim has no policy. An empty Policy ends it.
	Policy *Policy
	// Domain is a domain of yours that should lead to the claim, such as "hooks.example.org"; see
	// [Session.Domain]. Empty: none, or what the claim has already.
	Domain string

	// Transport is how requests come from the gateway. Empty means TransportAuto.
	Transport Transport

	// Concurrency is how many handlers run at once; further requests wait for one to return. Zero
	// means 1024; negative means only the gateway's bound.
	Concurrency int
	// Client sends the requests to the gateway. Its Timeout is not used: every call has its own
	// bound. Nil: a client that honours HTTP_PROXY and keeps connections open, with a transport of
	// NewTransport.
	Client *http.Client
	// Logger logs every change of the transport, and what went wrong, including panics of handlers
	// with their stacks. Nil: slog.Default() logs warnings and errors. A logger with
	// slog.DiscardHandler logs nothing.
	Logger *slog.Logger
	// OnState is called after every change of the state, in order and one at a time, beginning with
	// Online in Claim. It must not wait for the session. Nil: no calls.
	OnState func(State)
}

// Policy is what the gateway enforces for a claim. The policy in a state has no passwords, tokens or
// secrets.
type Policy = schema.Policy

// Redeliver says which requests may be delivered again after the session that held them was lost.
type Redeliver = schema.Redeliver

// The rules of delivering again.
const (
	// RedeliverIdempotent is for requests with an idempotent method (RFC 9110, 9.2.2).
	RedeliverIdempotent = schema.RedeliverIdempotent
	// RedeliverKeyed is for these and for requests with an Idempotency-Key field.
	RedeliverKeyed = schema.RedeliverKeyed
	// RedeliverAny is for all requests.
	RedeliverAny = schema.RedeliverAny
)

const defaultConcurrency = 1024

// withDefaults returns a copy with defaults filled in.
func (o *Options) withDefaults() Options {
	var c Options
	if o != nil {
		c = *o
	}
	if c.Transport == "" {
		c.Transport = TransportAuto
	}
	if c.Concurrency == 0 {
		c.Concurrency = defaultConcurrency
	}
	if c.Logger == nil {
		c.Logger = slog.New(troubles{slog.Default().Handler()})
	}
	return c
}

// troubles passes on warnings and errors only, for programs that gave no logger.
type troubles struct{ slog.Handler }

func (h troubles) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn && h.Handler.Enabled(ctx, level)
}

func (h troubles) WithAttrs(attrs []slog.Attr) slog.Handler {
	return troubles{h.Handler.WithAttrs(attrs)}
}

func (h troubles) WithGroup(name string) slog.Handler { return troubles{h.Handler.WithGroup(name)} }

// wish returns the options as the content of POST /claims.
func (o *Options) wish() schema.ClaimRequest {
	var w schema.ClaimRequest
	if o.Label != "" {
		w.Label = &o.Label
	}
	if o.Token != "" {
		w.Token = &o.Token
	}
	if o.Lease != 0 {
		w.Lease = new(int((o.Lease + time.Second - 1) / time.Second))
	}
	if o.Timeout != 0 {
		w.TimeoutMs = new(int(o.Timeout.Milliseconds()))
	}
	if o.Redeliver != "" {
		w.Redeliver = &o.Redeliver
	}
	if o.Inspect {
		w.Inspect = &o.Inspect
	}
	w.Policy = o.Policy
	if o.Domain != "" {
		w.Domain = &o.Domain
	}
	return w
}
