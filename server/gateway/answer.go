package gateway

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"reversehttp/schema"
	"reversehttp/schema/envelope"
	"reversehttp/server/claim"
	"reversehttp/server/problem"
	"reversehttp/server/wire"
)

// message is any message of a program.
type message struct {
	*envelope.Answer
	fault    *fault // why it could not be decoded, or nil
	onlyHEAD *fault // why it answers nothing but HEAD, or nil
}

// fault is why an answer is invalid: where, and why.
type fault struct{ pointer, detail string }

// Error returns the detail.
func (f *fault) Error() string { return f.detail }

// answer answers POST {responses}.
func (g *Gateway) answer(w http.ResponseWriter, r *http.Request) {
	s, hold := sessionOf(r), holdOf(r)
	s.Claim().Charge(hold)
	arriving := s.Work()
	body, err := g.readJSON(w, r, g.options.AnswerBytes)
	arriving()
	if err == nil {
		err = s.Answerable()
	}
	if err == nil && !hold.Grow(len(body)) { // what is decoded of it
		err = crowded()
	}
	if err != nil {
		problem.Of(err).Write(w, r)
		return
	}
	messages, err := decode(body, g.registry.Limits().Batch, g.options.Fields)
	if err != nil {
		problem.Of(err).Write(w, r)
		return
	}
	hold.Shrink(cap(body))
	results := make([]schema.Result, len(messages))
	for i := range messages {
		results[i], err = g.answerOne(r.Context(), s, &messages[i])
		if r.Context().Err() != nil {
			panic(http.ErrAbortHandler) // nobody is there to be answered
		}
		if err != nil {
			problem.Of(err).Write(w, r)
			return
		}
		g.metrics.judge(results[i].Status)
	}
	wire.BoundWrite(w, 0) // a slow visitor may have held this back
	writeJSON(w, http.StatusAccepted, schema.Results{Results: results})
}

// crowded refuses an answer for which there is no room.
func crowded() *problem.Problem {
	return &problem.Problem{Code: schema.CodeQueueFull, Unread: true, Detail: "Too much is on its way to visitors. Post again soon."}
}

// answerOne judges one message. It fails only where the session may not answer.
func (g *Gateway) answerOne(ctx context.Context, s *claim.Session, m *message) (schema.Result, error) {
	if m.fault == nil {
		m.fault = g.oversizeAnswer(m)
	}
	if m.fault != nil {
		return invalid(m.ID, m.fault), nil
	}
	var err error
	var result claim.Result
	switch {
	case m.Type == schema.TypeAbort && m.ID != "":
		g.options.Log.Debug("exchange aborted", "label", s.Claim().Label(), "exchange", m.ID, "reason", m.Reason)
		result, err = s.Abort(m.ID)
	case m.Type == schema.TypeResponse && m.ID != "":
		a, f := m.answer()
		if f != nil {
			return invalid(m.ID, f), nil
		}
		result, err = s.Answer(m.ID, a, m.fits)
		if f, ok := errors.AsType[*fault](err); ok {
			return invalid(m.ID, f), nil
		}
	case m.Type == schema.TypePart && m.ID != "":
		part, f := m.part(g.options.PartBytes)
		if f != nil {
			return invalid(m.ID, f), nil
		}
		result, err = s.Part(ctx, m.ID, part)
		switch {
		case errors.Is(err, claim.ErrNotAnswering):
			return invalid(m.ID, &fault{"/type", "a part follows a response with more"}), nil
		case errors.Is(err, claim.ErrGap):
			return invalid(m.ID, &fault{"/seq", "a part before this one is missing"}), nil
		}
	case m.Type == schema.TypeInterim && m.ID != "":
		a, f := m.interim()
		if f != nil {
			return invalid(m.ID, f), nil
		}
		result, err = s.Interim(m.ID, a)
	case m.Type != schema.TypeAbort && m.Type != schema.TypeResponse && m.Type != schema.TypePart && m.Type != schema.TypeInterim:
		return invalid(m.ID, &fault{"/type", "type is response, part, interim or abort"}), nil
	default:
		return invalid(m.ID, &fault{"/id", "id names the exchange"}), nil
	}
	return schema.Result{ID: m.ID, Status: schema.ResultStatus(result.String())}, err
}

// oversizeAnswer holds the fields of an answer to the bounds of a request's.
func (g *Gateway) oversizeAnswer(m *message) *fault {
	if why := faultOfFields(m.Headers, g.options.Fields, g.options.FieldBytes); why != "" {
		return &fault{"/headers", why}
	}
	if why := faultOfFields(m.Trailers, g.options.Fields, g.options.FieldBytes); why != "" {
		return &fault{"/trailers", why}
	}
	return nil
}

func invalid(id string, f *fault) schema.Result {
	return schema.Result{ID: id, Status: schema.ResultInvalid, Pointer: &f.pointer, Detail: f.detail}
}

// faultOfStatus is that of a status which no response may have.
var faultOfStatus = &fault{"/status", "status is a final status code, 200 to 599, or 101 to a request with upgrade"}

// answer converts a response for the core, checked whole but for what [message.fits] checks.
func (m *message) answer() (*claim.Answer, *fault) {
	a := &claim.Answer{Status: m.Status, More: m.More}
	if m.Status != http.StatusSwitchingProtocols && (m.Status < 200 || m.Status > 599) {
		return nil, faultOfStatus
	}
	content, where, f := m.content()
	if f != nil {
		return nil, f
	}
	a.Content = content
	if m.Status == 204 || m.Status == 205 || m.Status == 304 {
		switch {
		case len(content) > 0:
			return nil, &fault{where, "a response with this status has no content"}
		case m.More:
			return nil, &fault{"/more", "a response with this status has no content"}
		}
	}
	if a.Trailers, f = m.trailers(); f != nil {
		return nil, f
	}
	a.Fields, f = m.fields(len(content))
	return a, f
}

// fits returns the fault of a response that answer converted, if it cannot answer req.
func (m *message) fits(req *claim.Request) error {
	switch {
	case m.Status == http.StatusSwitchingProtocols && req.Upgrade == "":
		return faultOfStatus
	case m.Status == http.StatusSwitchingProtocols && !m.More:
		return &fault{"/more", "a response that upgrades is followed by what is sent on the connection"}
	case m.onlyHEAD != nil && req.Method != http.MethodHead:
		return m.onlyHEAD
	}
	return nil
}

// answerTo is answer for a request that is known.
func (m *message) answerTo(req *claim.Request) (*claim.Answer, *fault) {
	a, f := m.answer()
	if f != nil {
		return nil, f
	}
	if f, ok := errors.AsType[*fault](m.fits(req)); ok {
		return nil, f
	}
	return a, nil
}

// interim makes an interim response one for the core.
func (m *message) interim() (*claim.Answer, *fault) {
	if m.Status < 102 || m.Status > 199 {
		return nil, &fault{"/status", "status is an informational status code, 102 to 199"}
	}
	fields, f := m.fields(0)
	return &claim.Answer{Status: m.Status, Fields: fields}, f
}

// fields checks the fields of an answer with so much content.
func (m *message) fields(content int) ([]claim.Field, *fault) {
	fields := make([]claim.Field, len(m.Headers))
	lengths := 0
	for i, f := range m.Headers {
		fields[i] = claim.Field{Name: f[0], Value: envelope.Bytes(f[1])}
		at := "/headers/" + strconv.Itoa(i)
		if half, why := faultOfField(f[0], f[1]); why != "" {
			return nil, &fault{at + half, why}
		}
		switch {
		case strings.EqualFold(f[0], "Transfer-Encoding"):
			return nil, &fault{at + "/0", "the gateway frames the response: leave Transfer-Encoding out"}
		case strings.EqualFold(f[0], "Content-Length"):
			lengths++
			wrong := &fault{at + "/1", "Content-Length is not the length of the content: leave it out"}
			fits, onlyHEAD := m.lengthFits(f[1], content)
			if !fits || lengths > 1 {
				return nil, wrong
			}
			if onlyHEAD {
				m.onlyHEAD = wrong
			}
		}
	}
	return fields, nil
}

// part makes a part one for the core.
func (m *message) part(most int) (p claim.Part, f *fault) {
	if m.Seq < 1 {
		return p, &fault{"/seq", "seq counts the parts from 1"}
	}
	content, where, f := m.content()
	if f == nil && len(content) > most {
		f = &fault{where, "a part has at most " + strconv.Itoa(most) + " bytes of content"}
	}
	if f != nil {
		return p, f
	}
	trailers, f := m.trailers()
	return claim.Part{Seq: m.Seq, Content: content, More: m.More, Trailers: trailers}, f
}

// content gives the content of a message, and the pointer to it.
func (m *message) content() (content []byte, where string, f *fault) {
	if m.Member != "" {
		where = "/" + m.Member
	}
	if m.ContentErr != nil {
		return nil, "", &fault{where, m.ContentErr.Error()}
	}
	return m.Content, where, nil
}

// trailers gives the trailers of a message. They come with its last content.
func (m *message) trailers() ([]claim.Field, *fault) {
	if len(m.Trailers) > 0 && m.More {
		return nil, &fault{"/trailers", "trailers come with the last part"}
	}
	var fields []claim.Field
	for i, f := range m.Trailers {
		if half, why := faultOfTrailer(f[0], f[1]); why != "" {
			return nil, &fault{"/trailers/" + strconv.Itoa(i) + half, why}
		}
		fields = append(fields, claim.Field{Name: f[0], Value: envelope.Bytes(f[1])})
	}
	return fields, nil
}

// lengthFits reports whether a stated length may stand: it is that of the content,
// or tells the length of what GET would give (RFC 9110, 8.6), and whether it may only in
// answer to HEAD.
func (m *message) lengthFits(stated string, length int) (fits, onlyHEAD bool) {
	n, err := strconv.ParseUint(stated, 10, 62)
	switch {
	case err != nil || stated != strconv.FormatUint(n, 10) || m.Status == 204 || m.Status < 200:
		return false, false
	case n == uint64(length) || m.More || length == 0 && m.Status == 304:
		return true, false
	}
	return length == 0, true
}

// faultOfJSON places an error of decoding.
func faultOfJSON(err error) *fault {
	if f, ok := errors.AsType[*envelope.Fault](err); ok {
		at := jsontext.Pointer(f.Pointer)
		if f.Err == envelope.ErrTwice {
			return &fault{shortened(at), "the member " + problem.Repeated(at.LastToken()) + " is there twice"}
		}
		return &fault{shortened(at), f.Err.Error()}
	}
	if e, ok := errors.AsType[*json.SemanticError](err); ok {
		return &fault{shortened(e.JSONPointer), "the value has the wrong type"}
	}
	e, ok := errors.AsType[*jsontext.SyntacticError](err)
	switch {
	case !ok:
		return &fault{"", "the message is not a JSON object"}
	case errors.Is(e.Err, jsontext.ErrDuplicateName):
		return &fault{shortened(e.JSONPointer), "the member " + problem.Repeated(e.JSONPointer.LastToken()) + " is there twice"}
	}
	return &fault{shortened(e.JSONPointer), "the JSON is malformed"}
}

// shortened gives a pointer, or that of what is around it where names make it long.
func shortened(p jsontext.Pointer) string {
	for len(p) > mostPointer {
		p = p.Parent()
	}
	return string(p)
}

// mostPointer bounds a pointer that is told, in bytes.
const mostPointer = 256

// readJSON reads the JSON content of a program's request. Empty content is fine.
func (g *Gateway) readJSON(w http.ResponseWriter, r *http.Request, limit int) ([]byte, error) {
	body, err := g.readContent(w, r, limit)
	if err != nil {
		return nil, err
	}
	if len(body) == 0 {
		return nil, nil
	}
	media, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	switch strings.ToLower(strings.TrimSpace(media)) {
	case "application/json":
	case "application/merge-patch+json":
		if r.Method != http.MethodPatch {
			return nil, &problem.Problem{Code: schema.CodeUnsupportedMediaType}
		}
	default:
		return nil, &problem.Problem{Code: schema.CodeUnsupportedMediaType}
	}
	return body, nil
}

// badJSON makes an error of decoding a problem.
func badJSON(err error) *problem.Problem {
	f := faultOfJSON(err)
	return &problem.Problem{Code: schema.CodeBadJSON, Pointer: f.pointer, Detail: "The content is not as expected: " + f.detail + "."}
}
