package control

import (
	"reversehttp/schema"
	"reversehttp/schema/envelope"
	"reversehttp/server/claim"
	"reversehttp/server/publicurl"
)

// Envelopes makes the messages of sessions, and the URLs in them.
type Envelopes struct{ Public *publicurl.Template }

// ClaimURL returns the URL of a claim.
func (e Envelopes) ClaimURL(c *claim.Claim) string { return e.Public.Control + "claims/" + c.Label() }

// SessionURL returns the URL of a session.
func (e Envelopes) SessionURL(s *claim.Session) string {
	return e.ClaimURL(s.Claim()) + "/sessions/" + s.ID()
}

// appendBatch appends a batch as JSON.
func (e Envelopes) appendBatch(b []byte, s *claim.Session, batch *claim.Batch) []byte {
	b = append(b, `{"cursor":`...)
	b = envelope.AppendString(b, batch.Cursor)
	b = append(b, `,"messages":[`...)
	for i, m := range batch.Messages {
		if i > 0 {
			b = append(b, ',')
		}
		m.Cursor = ""
		b = e.appendMessage(b, s, m)
	}
	return append(b, "]}\n"...)
}

// appendMessage appends a message, with its cursor if it has one.
func (e Envelopes) appendMessage(b []byte, s *claim.Session, m claim.Message) []byte {
	r := e.Head(s, m)
	r.Cursor = m.Cursor
	if m.Cancel != "" {
		return envelope.AppendCancel(b, &r, schema.CancelReason(m.Cancel))
	}
	req := m.Exchange.Request()
	if req.Content.Streams() {
		r.BodyURL = e.exchangeURL(s, r.ID, "/content")
	}
	return envelope.AppendRequest(b, &r, req.Fields, req.Content.Bytes())
}

// Head returns a message but for its cursor, its fields and its content; of a cancellation that is the id.
func (e Envelopes) Head(s *claim.Session, m claim.Message) envelope.Request {
	if m.Cancel != "" {
		return envelope.Request{ID: m.ID}
	}
	req, id := m.Exchange.Request(), m.Exchange.ID()
	return envelope.Request{
		ID: id, Attempt: m.Attempt, TimeoutMs: int(m.Timeout.Milliseconds()), Method: req.Method, Target: req.Target, URL: req.URL,
		Base: e.Public.Base(s.Claim().Label()), HTTPVersion: req.HTTPVersion, RemoteAddr: req.RemoteAddr,
		Upgrade: req.Upgrade, ResponseURL: e.exchangeURL(s, id, "/response"),
	}
}

// exchangeURL gives the URL of a part of an exchange, in as few copies as there may be.
func (e Envelopes) exchangeURL(s *claim.Session, id, part string) string {
	return e.ClaimURL(s.Claim()) + "/sessions/" + s.ID() + "/exchanges/" + id + part
}
