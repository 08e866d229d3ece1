// Package answer checks an answer of a program whole, and converts it for the core.
package answer

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"reversehttp/schema/envelope"
	"reversehttp/server/claim"
	"reversehttp/server/field"
)

// Message is a message of a program, as it was decoded. Its methods return why it is invalid, or nil.
type Message struct {
	*envelope.Answer
	// Refused is why it could not be decoded, or nil.
	Refused  *Fault
	onlyHEAD *Fault // why it answers nothing but HEAD, or nil
}

// Fault is why an answer is invalid.
type Fault struct {
	// Pointer is where (RFC 6901), from the message; empty means all of it.
	Pointer string
	// Detail is why, for people.
	Detail string
}

// Error returns the detail.
func (f *Fault) Error() string { return f.Detail }

// Bounded holds the fields of an answer to the bounds of a request's: so many, and so many bytes of them.
func (m *Message) Bounded(fields, fieldBytes int) *Fault {
	if why := field.FaultOfAll(m.Headers, fields, fieldBytes); why != "" {
		return &Fault{"/headers", why}
	}
	if why := field.FaultOfAll(m.Trailers, fields, fieldBytes); why != "" {
		return &Fault{"/trailers", why}
	}
	return nil
}

// faultOfStatus is that of a status which no response may have.
var faultOfStatus = &Fault{"/status", "status is a final status code, 200 to 599, or 101 to a request with upgrade"}

// response is an answer with room for the fields of most, so that both are one allocation.
type response struct {
	claim.Answer
	room [8]claim.Field
}

// Response converts a response for the core, checked whole but for what [Message.Fits] checks.
func (m *Message) Response() (*claim.Answer, *Fault) {
	r := &response{Answer: claim.Answer{Status: m.Status, More: m.More}}
	a := &r.Answer
	if m.Status != http.StatusSwitchingProtocols && (m.Status < 200 || m.Status > 599) {
		return nil, faultOfStatus
	}
	content, where, f := m.content()
	if f != nil {
		return nil, f
	}
	a.Content = content
	length := m.length()
	if m.Status == 204 || m.Status == 205 || m.Status == 304 {
		switch {
		case length > 0:
			return nil, &Fault{where, "a response with this status has no content"}
		case m.More:
			return nil, &Fault{"/more", "a response with this status has no content"}
		}
	}
	if a.Trailers, f = m.trailers(); f != nil {
		return nil, f
	}
	a.Fields, f = m.fields(r.room[:0], length)
	return a, f
}

// length returns how much content the message has, in bytes, though that may still be sent.
func (m *Message) length() int64 {
	if m.Follows {
		return m.ContentLength
	}
	return int64(len(m.Content))
}

// Relayed is Response for one whose content is not there, but relayed as it comes: it states the length of that, where nothing
// follows it. [Message.Last] has the trailers.
func (m *Message) Relayed() (*claim.Answer, *Fault) {
	a, f := m.Response()
	if f != nil || a.More || len(a.Trailers) > 0 {
		return a, f
	}
	stated := func(f claim.Field) bool { return strings.EqualFold(f.Name, "Content-Length") }
	if !slices.ContainsFunc(a.Fields, stated) {
		a.Fields = append(a.Fields, claim.Field{Name: "Content-Length", Value: strconv.FormatInt(m.ContentLength, 10)})
	}
	return a, nil
}

// Last returns the trailers of a message that is valid.
func (m *Message) Last() []claim.Field {
	fields, _ := m.trailers()
	return fields
}

// Fits returns the fault of a response that Response converted, if it cannot answer req.
func (m *Message) Fits(req *claim.Request) error {
	switch {
	case m.Status == http.StatusSwitchingProtocols && req.Upgrade == "":
		return faultOfStatus
	case m.Status == http.StatusSwitchingProtocols && !m.More:
		return &Fault{"/more", "a response that upgrades is followed by what is sent on the connection"}
	case m.onlyHEAD != nil && req.Method != http.MethodHead:
		return m.onlyHEAD
	}
	return nil
}

// ResponseTo is Response for a request that is known.
func (m *Message) ResponseTo(req *claim.Request) (*claim.Answer, *Fault) {
	a, f := m.Response()
	if f != nil {
		return nil, f
	}
	if f, ok := errors.AsType[*Fault](m.Fits(req)); ok {
		return nil, f
	}
	return a, nil
}

// Interim converts an interim response for the core.
func (m *Message) Interim() (*claim.Answer, *Fault) {
	if m.Status < 102 || m.Status > 199 {
		return nil, &Fault{"/status", "status is an informational status code, 102 to 199"}
	}
	fields, f := m.fields(nil, 0)
	return &claim.Answer{Status: m.Status, Fields: fields}, f
}

// fields checks the fields of an answer with so much content, and appends them to fields.
func (m *Message) fields(fields []claim.Field, content int64) ([]claim.Field, *Fault) {
	fields = slices.Grow(fields, len(m.Headers))
	lengths := 0
	for i, f := range m.Headers {
		fields = append(fields, claim.Field{Name: f[0], Value: envelope.Bytes(f[1])})
		at := func(half string) string { return "/headers/" + strconv.Itoa(i) + half }
		if half, why := field.FaultOf(f[0], f[1]); why != "" {
			return nil, &Fault{at(half), why}
		}
		switch {
		case strings.EqualFold(f[0], "Transfer-Encoding"):
			return nil, &Fault{at("/0"), "the gateway frames the response: leave Transfer-Encoding out"}
		case strings.EqualFold(f[0], "Content-Length"):
			lengths++
			wrong := func() *Fault {
				return &Fault{at("/1"), "Content-Length is not the length of the content: leave it out"}
			}
			fits, onlyHEAD := m.lengthFits(f[1], content)
			if !fits || lengths > 1 {
				return nil, wrong()
			}
			if onlyHEAD {
				m.onlyHEAD = wrong()
			}
		}
	}
	return fields, nil
}

// LostCookie returns which cookie of a response, or an interim one, is not relayed for it names the Domain of another host than host,
// or nil where all are.
func (m *Message) LostCookie(host string) *Fault {
	for i, f := range m.Headers {
		if !strings.EqualFold(f[0], "Set-Cookie") {
			continue
		}
		if _, kept := field.Narrowed("Set-Cookie", f[1], host); !kept {
			return &Fault{"/headers/" + strconv.Itoa(i) + "/1", "this cookie names a Domain that is not " + host + ", the claim's own host, so it is dropped: leave Domain out"}
		}
	}
	return nil
}

// Part converts a part for the core, of at most so many bytes of content; of more if that is relayed as it comes.
func (m *Message) Part(most int) (p claim.Part, f *Fault) {
	if m.Seq < 1 {
		return p, &Fault{"/seq", "seq counts the parts from 1"}
	}
	content, where, f := m.content()
	if f == nil && len(content) > most {
		f = &Fault{where, "a part has at most " + strconv.Itoa(most) + " bytes of content"}
	}
	if f != nil {
		return p, f
	}
	trailers, f := m.trailers()
	return claim.Part{Seq: m.Seq, Content: content, More: m.More, Trailers: trailers}, f
}

// content gives the content of a message, and the pointer to it.
func (m *Message) content() (content []byte, where string, f *Fault) {
	switch m.Member {
	case "body":
		where = "/body"
	case "bodyBase64":
		where = "/bodyBase64"
	case "contentLength":
		where = "/contentLength"
	}
	if m.ContentErr != nil {
		return nil, "", &Fault{where, m.ContentErr.Error()}
	}
	return m.Content, where, nil
}

// trailers gives the trailers of a message. They come with its last content.
func (m *Message) trailers() ([]claim.Field, *Fault) {
	if len(m.Trailers) > 0 && m.More {
		return nil, &Fault{"/trailers", "trailers come with the last part"}
	}
	var fields []claim.Field
	for i, f := range m.Trailers {
		if half, why := field.FaultOfTrailer(f[0], f[1]); why != "" {
			return nil, &Fault{"/trailers/" + strconv.Itoa(i) + half, why}
		}
		fields = append(fields, claim.Field{Name: f[0], Value: envelope.Bytes(f[1])})
	}
	return fields, nil
}

// lengthFits reports whether a stated length may stand: it is that of the content,
// or tells the length of what GET would give (RFC 9110, 8.6), and whether it may only in
// answer to HEAD.
func (m *Message) lengthFits(stated string, length int64) (fits, onlyHEAD bool) {
	n, err := strconv.ParseUint(stated, 10, 62)
	padded := len(stated) > 1 && stated[0] == '0'
	switch {
	case err != nil || padded || m.Status == 204 || m.Status < 200:
		return false, false
	case n == uint64(length) || m.More || length == 0 && m.Status == 304:
		return true, false
	}
	return length == 0, true
}
