package family

import (
	"bytes"
	"encoding/base64"
	"errors"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"reversehttp/schema"
	"reversehttp/schema/envelope"
	"reversehttp/server/claim"
	"reversehttp/server/problem"
)

// event is a request in COMET with JSON, its members in the order of the text of 2008.
type event struct {
	ID      string      `json:"message-id"`
	Method  string      `json:"method"`
	Target  string      `json:"request-uri"`
	Version string      `json:"http-version"`
	Fields  [][2]string `json:"headers"`
	Body    string      `json:"body"`
	// Base64 is content that is not text, for which the text of 2008 has no member. Body is empty
	// then.
	Base64 string `json:"body-base64,omitempty"`
}

func newEvent(x *claim.Exchange, content []byte) *event {
	asked := x.Request()
	e := &event{ID: x.ID(), Method: asked.Method, Target: envelope.Characters(asked.Target), Version: "PTTH/0.9", Fields: [][2]string{}}
	for _, f := range asked.Fields {
		e.Fields = append(e.Fields, [2]string{f.Name, envelope.Characters(f.Value)})
	}
	if utf8.Valid(content) {
		e.Body = string(content)
	} else {
		e.Base64 = base64.StdEncoding.EncodeToString(content)
	}
	return e
}

// text returns the event as JSON; {} if it is nil.
func (e *event) text() []byte {
	if e == nil {
		return []byte("{}")
	}
	b, err := json.Marshal(e)
	if err != nil {
		panic("family: " + err.Error()) // its strings are valid
	}
	return b
}

// eventResponse is a program's response to an event.
type eventResponse struct {
	id      string
	status  int
	fields  []schema.Field
	content []byte
	// fault says why the response is invalid, or is nil.
	fault error
}

// responseMembers are the members of a response that are read. Others are skipped.
type responseMembers struct {
	ID     jsontext.Value `json:"message-id"`
	Status jsontext.Value `json:"status"`
	Fields jsontext.Value `json:"headers"`
	Body   jsontext.Value `json:"body"`
	Base64 jsontext.Value `json:"body-base64"`
}

// responseOf returns the response in a POST; nil if there is none.
func responseOf(content []byte) (*eventResponse, error) {
	if len(bytes.TrimSpace(content)) == 0 {
		return nil, nil
	}
	if err := problem.Misshapen(content); err != nil {
		return nil, err
	}
	var m responseMembers
	err := json.Unmarshal(content, &m)
	switch {
	case err != nil:
		return nil, problem.BadJSON(err)
	case jsontext.Value(content).Kind() != '{':
		return nil, problem.New(schema.CodeBadJSON, "")
	}
	if m.ID == nil && m.Status == nil {
		return nil, nil
	}
	r := &eventResponse{}
	if err := json.Unmarshal(m.ID, &r.id); err != nil || r.id == "" {
		return nil, problem.New(schema.CodeBadAnswer, "message-id names the event that the response is for.")
	}
	r.fault = r.read(&m)
	return r, nil
}

// read reads all members but the id.
func (r *eventResponse) read(m *responseMembers) (fault error) {
	if r.status, fault = statusOf(m.Status); fault != nil {
		return fault
	}
	if r.fields, fault = fieldsOf(m.Fields); fault != nil {
		return fault
	}
	var body, coded *string
	if m.Body != nil && json.Unmarshal(m.Body, &body) != nil {
		return errors.New("body is a string")
	}
	if m.Base64 != nil && json.Unmarshal(m.Base64, &coded) != nil {
		return errors.New("body-base64 is a string")
	}
	switch {
	case coded != nil && body != nil && *body != "":
		return errors.New("content is given once: as body or as body-base64")
	case coded != nil:
		if r.content, fault = base64.StdEncoding.Strict().DecodeString(*coded); fault != nil || strings.ContainsAny(*coded, "\r\n") {
			return errors.New("body-base64 is base64 with padding and without line breaks (RFC 4648, 4)")
		}
	case body != nil:
		r.content = []byte(*body)
	}
	return nil
}

// statusOf parses a status code: a number, or a string that begins with one.
func statusOf(v jsontext.Value) (status int, fault error) {
	fault = errors.New(`status is a status code, 200 to 599, such as 200, "200" or "200 OK"`)
	text := strings.TrimSpace(string(v))
	if v.Kind() == '"' {
		var s string
		if json.Unmarshal(v, &s) != nil {
			return 0, fault
		}
		text, _, _ = strings.Cut(s, " ")
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil || len(text) != 3 {
		return 0, fault
	}
	return int(n), nil
}

// mostFields bounds the fields that are read of a response. The gateway's own bound, by default the
// same, is checked later.
const mostFields = 256

var errFields = errors.New("headers are a list of pairs of strings, or an object of strings and lists of strings")

// fieldsOf parses fields: a list of pairs, or an object whose values are strings or lists of
// strings. A number counts as its text.
func fieldsOf(v jsontext.Value) (fields []schema.Field, fault error) {
	if v == nil || v.Kind() == 'n' {
		return nil, nil
	}
	d := jsontext.NewDecoder(bytes.NewReader(v))
	add := func(name, value string) error {
		if fields = append(fields, schema.Field{name, value}); len(fields) > mostFields {
			return errors.New("it has too many fields")
		}
		return nil
	}
	addNext := func(name string) error {
		value, err := textOf(d)
		if err != nil {
			return err
		}
		return add(name, value)
	}
	switch v.Kind() {
	case '[':
		fault = elements(d, func() error {
			var pair []string
			if err := elements(d, func() error {
				one, err := textOf(d)
				if pair = append(pair, one); len(pair) > 2 {
					return errFields
				}
				return err
			}); err != nil || len(pair) != 2 {
				return errFields
			}
			return add(pair[0], pair[1])
		})
	case '{':
		fault = elements(d, func() error {
			name, err := textOf(d)
			switch {
			case err != nil:
				return err
			case d.PeekKind() == '[':
				return elements(d, func() error { return addNext(name) })
			}
			return addNext(name)
		})
	default:
		return nil, errFields
	}
	return fields, fault
}

// elements reads an array or an object, calling read for each element or member.
func elements(d *jsontext.Decoder, read func() error) error {
	if kind := d.PeekKind(); kind != '[' && kind != '{' {
		return errFields
	}
	_, err := d.ReadToken()
	for err == nil && d.PeekKind() != ']' && d.PeekKind() != '}' {
		err = read()
	}
	if err == nil {
		_, err = d.ReadToken()
	}
	return err
}

// textOf returns a string, or the text of a number.
func textOf(d *jsontext.Decoder) (string, error) {
	switch d.PeekKind() {
	case '"', '0':
		t, err := d.ReadToken()
		return t.String(), err
	}
	return "", errFields
}
