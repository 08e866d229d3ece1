package reversehttp

import (
	"net/http"
	"strings"

	"reversehttp/schema/envelope"
)

// carryBy sets the carrier of x.
func (x *exchange) carryBy(s *Session) { x.carrier.session, x.carrier.x = s, x }

// carrier gives the answer of one exchange the form in which it goes to the gateway. It has no part in what follows the
// beginning of one.
type carrier struct {
	session *Session
	x       *exchange
	fields  envelope.Pairs
	reply   reply // whole
}

// head takes the header of w as it is.
func (c *carrier) head(w *response) { c.fields = appendHeader(nil, w.header, w.leftOut) }

// add adds a field that the handler did not set.
func (c *carrier) add(name, value string) { c.fields = c.fields.Append(name, value) }

// whole makes the head, the content and the trailers the answer of the exchange. It fails where that cannot be sent.
func (c *carrier) whole(status int, content []byte, trailers http.Header) error {
	c.reply = reply{status: status, fields: c.fields, content: content, tail: envelope.Tail{Trailers: pairsOf(trailers)}}
	if !c.fits(&c.reply) {
		c.reply = reply{}
		return errTooLarge
	}
	c.x.answer, c.fields = &c.reply, nil
	return nil
}

// begin returns the beginning of an answer that goes on, and what of the content is to follow it: all where it does not fit.
func (c *carrier) begin(status int, content []byte) (first *reply, rest []byte, err error) {
	r := &reply{status: status, fields: c.fields, content: content, tail: envelope.Tail{More: true}}
	if !c.fits(r) {
		rest, r.content = content, nil
	}
	if !c.fits(r) {
		return nil, nil, errTooLarge
	}
	c.fields = nil
	return r, rest, nil
}

func (c *carrier) fits(r *reply) bool { return r.measure(c.x.id, c.session.current()) }

// interim sends a header ahead of the answer.
func (c *carrier) interim(status int, h http.Header) {
	r := &reply{status: status, fields: appendHeader(nil, h, notInterim)}
	if !c.fits(r) {
		c.session.log.Warn("interim response too large", "id", c.x.id, "status", status)
		return
	}
	c.session.poster.postInterim(c.x, r)
}

// abort has the exchange given up.
func (c *carrier) abort(reason string) { c.x.answer = &reply{reason: reason} }

// fail has a 500 take the place of an answer that cannot be sent.
func (c *carrier) fail() { c.x.answer = failure() }

// failure is the answer in place of one that cannot be sent.
func failure() *reply {
	fields := envelope.Pairs(nil).Append("Content-Type", "text/plain; charset=utf-8").Append("X-Content-Type-Options", "nosniff")
	return &reply{status: http.StatusInternalServerError, fields: fields, content: []byte("Internal Server Error\n")}
}

// notInterim reports whether a field is none of an informational response.
func notInterim(name string) bool {
	return name == "Transfer-Encoding" || name == "Trailer" || strings.HasPrefix(name, http.TrailerPrefix)
}
