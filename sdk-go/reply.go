package reversehttp

import (
	"net/http"

	"reversehttp/schema/envelope"
)

// What a handler gives becomes a reply here, which form.go encodes. The fields of an exchange are those that its reply will have.

// whole sets the fields, content and trailers as the answer of x. It returns an error if the
// gateway accepts no answer as large.
func (x *exchange) whole(at *claimed, status int, content []byte, trailers http.Header) error {
	x.reply = reply{status: status, fields: x.fields, content: content, tail: envelope.Tail{Trailers: pairsOf(trailers)}}
	if !x.reply.measure(x.id, at) {
		x.reply = reply{}
		return errTooLarge
	}
	x.answer, x.fields = &x.reply, nil
	return nil
}

// begin returns the beginning of an answer that continues, and the content that must follow: all of
// it if none fits.
func (x *exchange) begin(at *claimed, status int, content []byte) (first *reply, rest []byte, err error) {
	r := &reply{status: status, fields: x.fields, content: content, tail: envelope.Tail{More: true}}
	if !r.measure(x.id, at) {
		rest, r.content = content, nil
	}
	if !r.measure(x.id, at) {
		return nil, nil, errTooLarge
	}
	x.fields = nil
	return r, rest, nil
}

// abort has the exchange given up.
func (x *exchange) abort(reason string) { x.answer = &reply{reason: reason} }

// fail has a 500 take the place of an answer that cannot be sent.
func (x *exchange) fail() { x.answer = failure() }

// failure is the answer in place of one that cannot be sent.
func failure() *reply {
	fields := envelope.Pairs(nil).Append("Content-Type", "text/plain; charset=utf-8").Append("X-Content-Type-Options", "nosniff")
	return &reply{status: http.StatusInternalServerError, fields: fields, content: []byte("Internal Server Error\n")}
}
