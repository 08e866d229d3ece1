package family

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-chi/chi/v5"

	"reversehttp/schema"
	"reversehttp/server/claim"
	"reversehttp/server/door"
	"reversehttp/server/problem"
	"reversehttp/server/wire"
)

// reverseHTTP is the door for ReverseHttp of 2008 to 2012. Its URLs contain all that a program
// needs to come back after any loss:
//
//	access point  {control}reversehttp
//	private URL   {control}reversehttp/{label}/{token}
//	Request URL   {control}reversehttp/{label}/{token}/{session}/{cursor}
//
// with the token in base64url. A poll of a Request URL acknowledges messages up to its cursor, and
// opens the session if there is none. The reply to the request that the poll returned is posted to
// the same URL, so a URL returns one request, or one pipeline: if another poll of it is open, that
// one ends and is sent to another URL.
type reverseHTTP struct {
	g           *door.Host
	sharedToken bool
	hint        sync.Once
}

const reverseHTTPName = "reversehttp"

func newReverseHTTP(g *door.Host, o Options) door.Door {
	d := &reverseHTTP{g: g, sharedToken: o.SharedToken}
	return door.Door{Name: reverseHTTPName, URL: d.urls().access(), Routes: func(r chi.Router) {
		look := func(path string, h http.HandlerFunc) {
			r.Get(path, h)
			r.Head(path, h)
		}
		look("/reversehttp", d.service)
		r.Post("/reversehttp", d.register)
		look("/reversehttp/{label}/{token}", d.state)
		r.Put("/reversehttp/{label}/{token}", d.change)
		r.Delete("/reversehttp/{label}/{token}", d.remove)
		r.Get("/reversehttp/{label}/{token}/{session}/{cursor}", d.poll)
		r.Post("/reversehttp/{label}/{token}/{session}/{cursor}", d.reply)
	}}
}

// urls returns the URLs of the door.
func (d *reverseHTTP) urls() reverseURLs { return reverseURLs{d.g.Public} }

// place is the content of the path of a private or Request URL.
type place struct{ label, token, session, cursor string }

func (d *reverseHTTP) placeOf(r *http.Request) (place, error) {
	token, err := base64.RawURLEncoding.DecodeString(chi.URLParam(r, "token"))
	if err != nil || !claim.ValidToken(string(token)) {
		return place{}, problem.New(schema.CodeNotFound, "")
	}
	at := place{chi.URLParam(r, "label"), string(token), chi.URLParam(r, "session"), chi.URLParam(r, "cursor")}
	return at, d.mayUse(at.token)
}

// mayUse refuses the shared token, unless it is allowed.
func (d *reverseHTTP) mayUse(token string) error {
	if token == SharedToken && !d.sharedToken {
		d.hint.Do(func() {
			d.g.Log.Warn(`a program with the token "-" was refused`,
				"do", `give it a token of its own; or, where it is a stock program of 2008 that has no other, start the gateway with --shared-token: all that send "-" then share its names`)
		})
		return problem.New(schema.CodeBadToken, `The token "-" is not secret: anyone who knows the name could take the claim. Choose another token, or leave it out to be given one.`)
	}
	return nil
}

// steal is how long a poll is delayed that ended because of another poll of the same URL, or that
// asks for what the program has had. It keeps programs that poll the same URL, instead of the next
// one, from chasing each other.
const steal = time.Second

// poll answers GET {Request URL}.
func (d *reverseHTTP) poll(w http.ResponseWriter, r *http.Request) {
	at, err := d.placeOf(r)
	if err != nil {
		door.Refuse(w, r, err)
		return
	}
	begun := time.Now()
	until := begun.Add(d.g.Registry.Options().Times.Wait)
	s, batch, m, err := d.next(r, at, until)
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	switch {
	case errors.Is(err, context.Canceled):
		panic(http.ErrAbortHandler) // nobody is there to be answered
	case errors.Is(err, claim.ErrSpent), err == nil && batch == nil && time.Now().Before(until):
		if c := d.g.Registry.Lookup(at.label); c != nil && !c.Owns(at.token) { // the token was changed
			door.Refuse(w, r, claim.ErrLabelTaken)
			return
		}
		if !pause(r.Context(), steal) {
			panic(http.ErrAbortHandler)
		}
		d.nothing(w, d.urls().fresh(at.label, at.token))
	case errors.Is(err, claim.ErrDraining):
		holdBack(r, begun)
		d.nothing(w, d.urls().request(at.label, at.token, at.session, at.cursor))
	case err != nil:
		door.Refuse(w, r, err)
	case batch == nil:
		d.nothing(w, d.urls().request(at.label, at.token, at.session, at.cursor))
	default:
		d.give(w, r, at, s, batch, m)
	}
}

// next polls the session of a Request URL until a time. It returns the messages of the batch that
// came, or no batch.
func (d *reverseHTTP) next(r *http.Request, at place, until time.Time) (*claim.Session, *claim.Batch, *messages, error) {
	for {
		s, batch, err := d.turn(r, at, max(time.Until(until), 0))
		if batch == nil || err != nil {
			return s, nil, nil, err
		}
		m, err := d.messagesOf(r.Context(), s, batch)
		switch {
		case r.Context().Err() != nil:
			return nil, nil, nil, r.Context().Err()
		case err == nil:
			return s, batch, m, nil
		}
		// The first request ended before its content was whole. What follows it is delivered again.
	}
}

// turn polls the session of a Request URL, which it opens if there is none.
func (d *reverseHTTP) turn(r *http.Request, at place, wait time.Duration) (*claim.Session, *claim.Batch, error) {
	most := 1
	if accepts(r, "application/http") {
		most = 0
	}
	s := d.g.Registry.Session(reverseHTTPName, at.label, at.session)
	if s != nil && s.Claim().Owns(at.token) {
		if _, p := d.g.Admission.Serves(d.g.Admission.From(r), s, at.token); p != nil {
			return nil, nil, p
		}
	}
	for range 3 { // the session may end between two steps
		if s == nil || !s.Claim().Owns(at.token) {
			o, err := d.g.EnterWith(r, claim.Place{Door: reverseHTTPName, Session: at.session, Cursor: at.cursor}, at.label, at.token, claim.Settings{})
			switch {
			case errors.Is(err, claim.ErrBadCursor):
				return nil, nil, problem.New(schema.CodeNotFound, "")
			case err != nil:
				return nil, nil, err
			}
			s = o.Session
		}
		batch, err := poll(r.Context(), s, &at.cursor, wait, most)
		switch {
		case errors.Is(err, claim.ErrLeaseEnded), errors.Is(err, claim.ErrSessionFenced), errors.Is(err, claim.ErrNoSession):
			s = nil
		case errors.Is(err, claim.ErrBadCursor):
			return nil, nil, problem.New(schema.CodeNotFound, "")
		default:
			return s, batch, err
		}
	}
	return nil, nil, claim.ErrNoSession
}

// poll polls a session for a batch of at most most messages; 0 means the gateway's bound.
func poll(ctx context.Context, s *claim.Session, cursor *string, wait time.Duration, most int) (*claim.Batch, error) {
	open, err := s.Open(cursor, wait, claim.Flow{Most: most})
	if err != nil {
		return nil, err
	}
	batch, _, err := open.Next(ctx, time.Time{}, nil)
	return batch, err
}

// nothing answers a poll for which there was no request.
func (d *reverseHTTP) nothing(w http.ResponseWriter, next string) {
	w.Header().Set("Link", "<"+next+`>; rel="next"`)
	wire.BoundWrite(w, 0)
	w.WriteHeader(http.StatusNoContent)
}

// mostCollected bounds content of unknown length, in bytes. A program of 2008 gets it whole, with
// its length, since one that cannot read chunks would silently lose it.
const mostCollected = 8 << 20

// messagesOf converts the requests of a batch to messages, up to and including the first whose
// content is streamed. Content of unknown length is collected if its request is the first;
// otherwise the batch ends before that request. The rest comes with the next poll. It fails if the
// first request ended meanwhile.
func (d *reverseHTTP) messagesOf(ctx context.Context, s *claim.Session, batch *claim.Batch) (*messages, error) {
	m := &messages{free: func() {}}
	for i := range batch.Messages {
		one := &batch.Messages[i]
		asked, req := one.Exchange.Request(), d.g.RequestOf(ctx, s, one)
		var collected *claim.Content
		if asked.Content.Streams() && req.ContentLength < 0 {
			if i > 0 {
				batch.Messages = batch.Messages[:i]
				break
			}
			content, free, err := d.g.Collect(ctx, s, one.Exchange, mostCollected,
				"The program behind this URL takes content of unknown length up to "+strconv.Itoa(mostCollected)+" bytes. Send it with Content-Length.")
			if err != nil {
				return nil, err
			}
			collected, m.free = content, free
		}
		batch.Cursor = one.Cursor
		if m.add(req, asked, collected); m.stream != nil {
			batch.Messages = batch.Messages[:i+1]
			break
		}
	}
	return m, nil
}

// give answers a poll with the messages of a batch.
func (d *reverseHTTP) give(w http.ResponseWriter, r *http.Request, at place, s *claim.Session, batch *claim.Batch, m *messages) {
	defer m.free()
	d.g.Delivered(batch)
	h := w.Header()
	h.Set("Link", "<"+d.urls().request(at.label, at.token, at.session, batch.Cursor)+`>; rel="next"`)
	h.Set("Requesting-Client", requestingClient(batch.Messages[0].Exchange.Request().RemoteAddr))
	h.Set("Content-Type", "message/http")
	if len(batch.Messages) > 1 || accepts(r, "application/http") && !accepts(r, "message/http") {
		h.Set("Content-Type", "application/http")
	}
	// It is a stranger's content on the control origin.
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "sandbox")
	defer s.Work(r.Context())()
	m.write(w)
}

// accepts reports whether Accept names a media type with a quality above zero.
func accepts(r *http.Request, media string) bool {
	for _, v := range r.Header["Accept"] {
		for one := range strings.SplitSeq(v, ",") {
			name, parameters, _ := strings.Cut(one, ";")
			if strings.EqualFold(strings.TrimSpace(name), media) && !strings.HasPrefix(strings.ReplaceAll(parameters, " ", "")+",", "q=0,") {
				return true
			}
		}
	}
	return false
}

// requestingClient returns an address as the IPv4 address and port that programs expect; some of
// them read it up to the first colon. Any other address becomes 0.0.0.0, which is nobody's; the
// Forwarded field has the true one.
func requestingClient(remoteAddr string) string {
	a, err := netip.ParseAddrPort(remoteAddr)
	if err != nil { // a proxy may omit the port
		addr, _ := netip.ParseAddr(remoteAddr)
		a = netip.AddrPortFrom(addr, 0)
	}
	if addr := a.Addr().Unmap(); addr.Is4() {
		return netip.AddrPortFrom(addr, a.Port()).String()
	}
	return netip.AddrPortFrom(netip.IPv4Unspecified(), a.Port()).String()
}
