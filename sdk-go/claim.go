package reversehttp

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"

	"reversehttp/schema"
)

// Session is this program serving a claim. Its methods may be called from any goroutine.
//
// The gateway has sessions of its own and may end one, for instance when this program was cut off
// for too long. A Session then claims its label again and continues.
type Session struct {
	opts      Options
	gateway   *gateway
	transport *http.Transport // closed with the session; nil if the program gave a client
	log       *slog.Logger
	standing  standing
	exchanges exchanges
	silence   silence
	poller    poller
	poster    poster
	runner    runner
	waits     waits
	starting  sync.Mutex           // held while a link begins what came
	running   sync.WaitGroup       // one for each exchange, until its answer is with the gateway
	link      atomic.Pointer[link] // by which answers are sent; nil if there is none
	links     sync.WaitGroup       // one for the link, and one for its writer

	life  context.Context // ends with Close, and with it every handler's context
	end   context.CancelCauseFunc
	polls context.Context // ends with Shutdown too
	stop  context.CancelFunc

	left     sync.Once // says goodbye to the gateway
	deleting atomic.Bool
	done     chan struct{} // closed when Serve returns

	mu      sync.Mutex // guards what follows
	serving bool
	claimed *claimed
}

// claimed is a claim with one session of the gateway.
type claimed struct {
	schema.ClaimAnswer
	cursor   cursor
	ctx      context.Context
	lose     context.CancelCauseFunc // ends ctx: the gateway refused an answer because the session is over
	replaced chan struct{}           // closed when another session has taken its place
	answers  *url.URL                // Responses
	plain    atomic.Bool             // answers are posted as JSON, for the framed form does not pass
	short    atomic.Bool             // an intermediary refuses long parts
	bound    atomic.Int64            // the most parts that pass in one post; 0 means that none was refused
}

// Claim claims a label at the gateway, which is named by its origin such as https://gateway.example. Options may be nil.
//
// The context bounds the claiming only; Close, Shutdown or Delete end the session. From then on
// visitors are let in, and wait for Serve for some seconds.
//
// Claim does not retry: the caller decides what to do about an error such as ErrLabelTaken.
func Claim(ctx context.Context, gateway string, opts *Options) (*Session, error) {
	s := &Session{opts: opts.withDefaults(), done: make(chan struct{})}
	if err := s.opts.Transport.valid(); err != nil {
		return nil, fmt.Errorf("reversehttp: claim: %w", err)
	}
	s.log = s.opts.Logger
	s.poller.session, s.poster.session, s.runner.session = s, s, s
	s.standing.listener = s.opts.OnState
	if n := s.opts.Concurrency; n > 0 {
		s.runner.slots = make(chan struct{}, n)
	}
	// Handlers look up the server that they run under: httputil.ReverseProxy breaks off an answer
	// only if it finds one.
	server := &http.Server{ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelWarn)}
	s.life, s.end = context.WithCancelCause(context.WithValue(context.Background(), http.ServerContextKey, server))
	s.polls, s.stop = context.WithCancel(s.life)

	var client *http.Client
	client, s.transport = newClient(s.opts.Client)
	err := s.first(ctx, client, gateway)
	if err != nil {
		s.end(err)
		closeIdle(s.transport)
		return nil, fmt.Errorf("reversehttp: claim: %w", advised(gateway, err))
	}
	s.standing.mu.Lock()
	s.standing.tell(Online)
	s.standing.mu.Unlock()
	return s, nil
}

func (s *Session) first(ctx context.Context, client *http.Client, origin string) (err error) {
	if s.gateway, err = discover(ctx, client, origin, s.opts.Key); err != nil {
		return err
	}
	return s.claim(ctx)
}

// claim claims, and replaces the previous session by the new one.
func (s *Session) claim(ctx context.Context) error {
	wish, err := json.Marshal(s.opts.wish())
	if err != nil {
		return err
	}
	var c claimed
	err = s.gateway.call(ctx, call{method: "POST", url: s.gateway.claims, bearer: s.opts.Key, content: pieces{wish}, again: true}, &c.ClaimAnswer)
	if err != nil {
		return err
	}
	if l := c.Limits; c.Requests == "" || c.Responses == "" || l.AnswerBytes <= 0 || l.Batch <= 0 {
		return &Error{Code: codeUnexpected, Detail: "the answer is no claim"}
	}
	if err := s.gateway.origins.Check(map[string]string{
		"claim": c.Claim, "session": c.Session, "requests": c.Requests, "responses": c.Responses, "link": c.Link, "exchanges": c.Exchanges,
	}); err != nil {
		return &Error{Code: codeUnexpected, Detail: err.Error()}
	}
	// From now on claim the label that was picked, with the token that was minted.
	s.opts.Label, s.opts.Token = c.Label, c.Token
	c.cursor.at = c.Cursor
	c.replaced = make(chan struct{})
	if c.answers, err = url.Parse(c.Responses); err != nil {
		return &Error{Code: codeUnexpected, Detail: err.Error()}
	}
	c.ctx, c.lose = context.WithCancelCause(s.polls)

	s.mu.Lock()
	before := s.claimed
	s.claimed = &c
	s.mu.Unlock()
	if before != nil {
		before.lose(nil)
		close(before.replaced)
	}
	return nil
}

// URL returns the public URL, with a final slash.
func (s *Session) URL() string { return s.current().URL }

// Label returns the claimed label.
func (s *Session) Label() string { return s.current().Label }

// Token returns the secret that owns the claim. Keep it to take the label back after a restart; show it to nobody.
func (s *Session) Token() string { return s.current().Token }

// Exchanges returns the URL of the recordings, if [Options].Inspect asks for them. It is empty if
// the gateway does not record.
func (s *Session) Exchanges() string { return s.current().Exchanges }

// Domain is the state of a domain that should lead to a claim.
type Domain struct {
	// URL is the URL at the domain, with a final slash, if requests there reach the claim. Otherwise it is empty.
	URL string
	// Record and Value are the name and the text of the TXT record that proves ownership of the domain. Set it, and
	// keep it. Empty: the operator of the gateway assigns the domain.
	Record, Value string
	// Problem says why requests do not reach the claim, for people.
	Problem string
}

// Domain returns the state of [Options].Domain when the label was last claimed. The gateway keeps looking for the record; the
// state of the claim has the result.
func (s *Session) Domain() Domain {
	c := s.current()
	return Domain{c.DomainURL, c.DomainRecord, c.DomainValue, c.DomainProblem}
}

// Policy returns what the gateway enforced when the label was last claimed, without secrets. It is nil if that was nothing, and
// at gateways that have no policies.
func (s *Session) Policy() *Policy { return s.current().ClaimAnswer.Policy }

// State returns the state of the session.
func (s *Session) State() State { return s.standing.get() }

func (s *Session) current() *claimed {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.claimed
}

// online notes that the gateway answers. Calls that were sent during a silence before are sent
// again, since their connections may be dead.
func (s *Session) online() {
	s.silence.end()
	s.standing.set(Online)
}

// closeIdle closes the connections of the session's own transport; nil is that of the program.
func closeIdle(t *http.Transport) {
	if t != nil {
		t.CloseIdleConnections()
	}
}
