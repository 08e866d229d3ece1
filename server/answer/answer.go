// Package answer validates a program's answer and converts it for the core.
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

// Message is a decoded message of a program. Its methods return the fault that makes it invalid, or
// nil.
type Message struct {
	*envelope.Answer
	// Refused is the fault for which it could not be decoded, or nil.
	Refused  *Fault
	onlyHEAD *Fault // why it can answer only HEAD, or nil
}

// Fault says why an answer is invalid.
type Fault struct {
	// Pointer is the place in the message (RFC 6901); empty means the whole message.
	Pointer string
	// Detail is the reason, for people.
	Detail string
}

// Error returns the detail.
func (f *Fault) Error() string { return f.Detail }

// Bounded checks the fields of an answer against the bounds of a request: their number and their
// bytes.
func (m *Message) Bounded(fields, fieldBytes int) *Fault {
	if why := field.FaultOfAll(m.Headers, fields, fieldBytes); why != "" {
		return &Fault{"/headers", why}
	}
	if why := field.FaultOfAll(m.Trailers, fields, fieldBytes); why != "" {
		return &Fault{"/trailers", why}
	}
	return nil
}

// faultOfStatus is the fault of a status that no response may have.
var faultOfStatus = &Fault{"/status", "status is a final status code, 200 to 599, or 101 to a request with upgrade"}

// response is an answer with room for a usual number of fields, so that both are one allocation.
type response struct {
	claim.Answer
	room [8]claim.Field
}

// Response validates a response and converts it for the core. Only the checks of [Message.Fits]
// remain.
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

// length returns the length of the message's content in bytes, even if the program is still sending
// it.
func (m *Message) length() int64 {
	if m.Follows {
		return m.ContentLength
	}
	return int64(len(m.Content))
}

// Relayed is Response for a message whose content is relayed as it comes. The answer states the
// length of the content if nothing follows it. [Message.Last] returns the trailers.
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

// Last returns the trailers of a valid message.
func (m *Message) Last() []claim.Field {
	fields, _ := m.trailers()
	return fields
}

// Fits returns the fault of a response, converted by Response, that cannot answer req, or nil.
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

// ResponseTo is Response followed by Fits.
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

// fields checks the fields of an answer with content bytes of content, and appends them to fields.
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

// LostCookie returns the fault of the first cookie of a response, or of an interim one, that is not relayed because it names a Domain
// other than host; nil if there is none.
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

// Part converts a part for the core. It refuses more than most bytes of content, unless they are
// relayed as they come.
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

// content returns the content of a message and the pointer to it.
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

// trailers returns the trailers of a message. Only one with the last content may have them.
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

// lengthFits reports whether a stated Content-Length is allowed: it is the length of the content,
// or the length that GET would have (RFC 9110, 8.6), which only an answer to HEAD may state.
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
