package control

import (
	"cmp"
	"strings"

	"reversehttp/schema"
	"reversehttp/schema/envelope"
	"reversehttp/server/claim"
	"reversehttp/server/publicurl"
)

// Envelopes makes the messages of sessions and the URLs in them.
type Envelopes struct {
	Public *publicurl.Template
	// InlineBytes is the most content in a message, in bytes, except in the framed form.
	InlineBytes int
}

// ClaimURL returns the URL of a claim.
func (e Envelopes) ClaimURL(c *claim.Claim) string { return e.Public.Control + "claims/" + c.Label() }

// SessionURL returns the URL of a session.
func (e Envelopes) SessionURL(s *claim.Session) string {
	return e.ClaimURL(s.Claim()) + "/sessions/" + s.ID()
}

// Messages makes the messages of one session. It holds the common parts of their URLs.
type Messages struct {
	inlineBytes int
	base        string // the public URL of the claim
	exchanges   string // URL of the session's exchanges, with a final slash
}

// Of returns the Messages of a session.
func (e Envelopes) Of(s *claim.Session) Messages {
	return Messages{e.InlineBytes, e.Public.Base(s.Claim().Label()), e.SessionURL(s) + "/exchanges/"}
}

// appendBatch appends a batch as JSON.
func (e Messages) appendBatch(b []byte, batch *claim.Batch) []byte {
	b = append(b, `{"cursor":`...)
	b = envelope.AppendString(b, batch.Cursor)
	b = append(b, `,"messages":[`...)
	for i, m := range batch.Messages {
		if i > 0 {
			b = append(b, ',')
		}
		m.Cursor = ""
		b = e.appendMessage(b, m, false)
	}
	return append(b, "]}\n"...)
}

// append appends a message in the form of a stream.
func (e Messages) append(b []byte, m claim.Message, f envelope.Form) []byte {
	b = e.appendMessage(f.Begin(b, m.Cursor), m, f.Beside())
	var content []byte
	if m.Cancel == "" {
		content = m.Exchange.Request().Content.Bytes()
	}
	return f.End(b, content)
}

// appendMessage appends a message as JSON, with its cursor if it has one, and its content in it or
// beside it.
func (e Messages) appendMessage(b []byte, m claim.Message, beside bool) []byte {
	r := e.head(m)
	r.Cursor = m.Cursor
	if m.Cancel != "" {
		return envelope.AppendCancel(b, &r, schema.CancelReason(m.Cancel))
	}
	req := m.Exchange.Request()
	content := req.Content.Bytes()
	switch {
	case req.Content.Streams(), !beside && len(content) > e.inlineBytes:
		r.BodyURL = e.exchanges + r.ID + "/content"
	case beside && len(content) > 0:
		r.Beside = envelope.Beside{Follows: true, ContentLength: int64(len(content))}
	}
	return envelope.AppendRequest(b, &r, req.Fields, content)
}

// head returns a message without its cursor, fields and content; of a cancellation only the id
// remains.
func (e Messages) head(m claim.Message) envelope.Request {
	if m.Cancel != "" {
		return envelope.Request{ID: m.ID}
	}
	req := m.Exchange.Request()
	return envelope.Request{
		ID: m.Exchange.ID(), Attempt: m.Attempt, TimeoutMs: int(m.Timeout.Milliseconds()), Method: req.Method, Target: req.Target, URL: req.URL,
		Base: cmp.Or(req.Base, e.base), HTTPVersion: req.HTTPVersion, RemoteAddr: req.RemoteAddr,
		Traceparent: req.Traceparent, Tracestate: req.Tracestate, Upgrade: req.Upgrade, ReplayOf: req.ReplayOf, Exchanges: e.exchanges,
	}
}

// linkURL returns the URL of the link of a session.
func (e Envelopes) linkURL(session string) string {
	if rest, ok := strings.CutPrefix(session, "https:"); ok {
		return "wss:" + rest + "/link"
	}
	return "ws:" + strings.TrimPrefix(session, "http:") + "/link"
}
