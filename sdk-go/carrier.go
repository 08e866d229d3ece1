package reversehttp

import (
	"net/http"
	"strings"

	"reversehttp/schema/envelope"
)

// A carrier gives the answer of one exchange the form in which it goes to the gateway. There are two: messages, which are
// posted, and, where a tunnel brought the request, heads of HTTP. A response, and whoever gives an exchange up, does not
// ask which.
//
// A carrier has no part. How what follows the beginning goes does not depend on where the request came from alone: parts.go
// looks at the content and at what passes, and posts the rest of an answer whose tunnel is lost before anything was taken.
// So one answer may change its way, and a carrier that sent parts would have to know the other's.
type carrier interface {
	// head takes the header of w as it is. The error is why it cannot be sent.
	head(w *response) error
	// add adds a field that the handler did not set.
	add(name, value string)
	// whole makes the head, the content and the trailers the answer of the exchange.
	whole(status int, content []byte, trailers http.Header) error
	// begin returns the beginning of an answer that goes on, and what of the content is to follow it.
	begin(status int, content []byte) (first beginning, rest []byte, err error)
	// interim sends a header ahead of the answer.
	interim(status int, h http.Header)
	// abort has the exchange given up.
	abort(reason string)
	// fail has a 500 take the place of an answer that cannot be sent.
	fail()
}

// carryBy sets the carrier of x.
func (x *exchange) carryBy(s *Session) {
	x.messages = posted{session: s, x: x}
	x.carrier = &x.messages
	if x.first != nil {
		x.tunneled.x = x
		x.carrier = &x.tunneled
	}
}

// posted is the carrier of answers that are messages.
type posted struct {
	session *Session
	x       *exchange
	fields  envelope.Pairs
	reply   reply // whole
}

func (p *posted) head(w *response) error {
	p.fields = appendHeader(nil, w.header, w.leftOut)
	return nil
}

func (p *posted) add(name, value string) { p.fields = p.fields.Append(name, value) }

func (p *posted) whole(status int, content []byte, trailers http.Header) error {
	p.reply = reply{status: status, fields: p.fields, content: content, tail: envelope.Tail{Trailers: pairsOf(trailers)}}
	if !p.fits(&p.reply) {
		p.reply = reply{}
		return errTooLarge
	}
	p.x.answer, p.fields = &p.reply, nil
	return nil
}

// begin has the content follow where it does not fit.
func (p *posted) begin(status int, content []byte) (first beginning, rest []byte, err error) {
	r := &reply{status: status, fields: p.fields, content: content, tail: envelope.Tail{More: true}}
	if !p.fits(r) {
		rest, r.content = content, nil
	}
	if !p.fits(r) {
		return beginning{}, nil, errTooLarge
	}
	p.fields = nil
	return beginning{reply: r}, rest, nil
}

func (p *posted) fits(r *reply) bool { return r.measure(p.x.id, p.session.current()) }

func (p *posted) interim(status int, h http.Header) {
	r := &reply{status: status, fields: appendHeader(nil, h, notInterim)}
	if !p.fits(r) {
		p.session.log.Warn("interim response too large", "id", p.x.id, "status", status)
		return
	}
	p.session.poster.postInterim(p.x, r)
}

func (p *posted) abort(reason string) { p.x.answer = &reply{reason: reason} }
func (p *posted) fail()               { p.x.answer = failure().reply() }

// tunneled is the carrier of answers to requests of a tunnel. They are not encoded before they are posted.
type tunneled struct {
	x      *exchange
	header http.Header
}

func (t *tunneled) head(w *response) (err error) {
	t.header, err = sendable(w.header, w.leftOut)
	return err
}

func (t *tunneled) add(name, value string) { t.header[name] = []string{value} }

func (t *tunneled) whole(status int, content []byte, trailers http.Header) error {
	t.x.whole = &whole{status: status, header: t.header, content: content, trailers: trailers}
	return nil
}

func (t *tunneled) begin(status int, content []byte) (first beginning, rest []byte, err error) {
	return beginning{status: status, header: t.header}, content, nil
}

// interim sends the header on the line, or posts it where there is none any more.
func (t *tunneled) interim(status int, h http.Header) {
	s := t.x.messages.session
	l := s.exchanges.informs(t.x)
	if l == nil {
		t.x.messages.interim(status, h)
		return
	}
	fields, err := sendable(h, notInterim)
	if err != nil {
		s.log.Warn("interim response cannot be sent", "id", t.x.id, "error", err)
		return
	}
	if t.x.interims.more() {
		l.inform(status, fields)
	}
}

func (t *tunneled) abort(reason string) { t.x.whole = &whole{reason: reason} }
func (t *tunneled) fail()               { t.x.whole = failure() }

// notInterim reports whether a field is none of an informational response.
func notInterim(name string) bool {
	return name == "Transfer-Encoding" || name == "Trailer" || strings.HasPrefix(name, http.TrailerPrefix)
}
