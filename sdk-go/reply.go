package reversehttp

import (
	"net/http"

	"reversehttp/schema/envelope"
)

// What a handler gives becomes a reply here, which form.go encodes. The fields of an exchange are those that its reply will have.

// whole makes the fields, the content and the trailers the answer of x. It fails where the session of the gateway takes none so large.
func (x *exchange) whole(at *claimed, status int, content []byte, trailers http.Header) error {
	x.reply = reply{status: status, fields: x.fields, content: content, tail: envelope.Tail{Trailers: pairsOf(trailers)}}
	if !x.reply.measure(x.id, at) {
		x.reply = reply{}
		return errTooLarge
	}
	x.answer, x.fields = &x.reply, nil
	return nil
}

// begin returns the beginning of an answer that goes on, and what of the content is to follow it: all where it does not fit.
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
