package envelope

import (
	"encoding/base64"
	"errors"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"reversehttp/schema"
)

// The reference reads a POST of answers with an equally strict JSON library, slowly; tests compare
// DecodeAnswers with it.

// refMessage has the members of an [Answer].
type refMessage struct {
	Type       string         `json:"type"`
	ID         string         `json:"id"`
	Status     int            `json:"status"`
	Headers    []schema.Field `json:"headers"`
	Body       *string        `json:"body"`
	BodyBase64 *string        `json:"bodyBase64"`
	More       bool           `json:"more"`
	Trailers   []schema.Field `json:"trailers"`
	Seq        int            `json:"seq"`
	Reason     string         `json:"reason"`
}

// reference is DecodeAnswers for content within the bounds of CheckShape.
func reference(content []byte, most, fields int) ([]Answer, error) {
	var several struct {
		Messages refList `json:"messages"`
	}
	several.Messages.most = most
	if err := json.Unmarshal(content, &several); errors.Is(err, ErrTooMany) {
		return nil, ErrTooMany
	} else if err != nil {
		return nil, refFault(err)
	}
	list := several.Messages.list
	if list == nil {
		list = []jsontext.Value{content}
	}
	var answers []Answer
	for _, raw := range list {
		answers = append(answers, refAnswer(raw, fields))
	}
	return answers, nil
}

type refList struct {
	most int
	list []jsontext.Value
}

func (l *refList) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	if d.PeekKind() != jsontext.KindBeginArray {
		return json.UnmarshalDecode(d, &l.list)
	}
	l.list = []jsontext.Value{}
	_, err := d.ReadToken()
	for err == nil && d.PeekKind() != jsontext.KindEndArray {
		if len(l.list) >= l.most {
			return ErrTooMany
		}
		var raw jsontext.Value
		if raw, err = d.ReadValue(); err == nil {
			l.list = append(l.list, raw.Clone())
		}
	}
	if err == nil {
		_, err = d.ReadToken()
	}
	return err
}

// refFields reports more fields than most as ErrTooManyFields.
func refFields(most int) json.Options {
	return json.WithUnmarshalers(json.UnmarshalFromFunc(func(d *jsontext.Decoder, list *[]schema.Field) error {
		if d.PeekKind() != jsontext.KindBeginArray {
			return errors.ErrUnsupported
		}
		*list = []schema.Field{}
		_, err := d.ReadToken()
		for err == nil && d.PeekKind() != jsontext.KindEndArray {
			if len(*list) >= most {
				return ErrTooManyFields
			}
			var f schema.Field
			err = json.UnmarshalDecode(d, &f)
			*list = append(*list, f)
		}
		if err == nil {
			_, err = d.ReadToken()
		}
		return err
	}))
}

func refAnswer(raw jsontext.Value, fields int) Answer {
	if raw.Kind() != jsontext.KindBeginObject {
		return Answer{Fault: &Fault{Err: ErrMessage}}
	}
	var m refMessage
	if err := json.Unmarshal(raw, &m, refFields(fields)); err != nil {
		var named struct {
			ID jsontext.Value `json:"id"`
		}
		var id string
		if json.Unmarshal(raw, &named) != nil || json.Unmarshal(named.ID, &id) != nil {
			id = ""
		}
		f := refFault(err)
		if errors.Is(err, ErrTooManyFields) {
			f.Err = ErrTooManyFields
		}
		for _, list := range []string{"/headers/", "/trailers/"} {
			if rest, ok := strings.CutPrefix(f.Pointer, list); ok {
				n, _, _ := strings.Cut(rest, "/")
				f = &Fault{list + n, ErrField}
			}
		}
		return Answer{ID: id, Fault: f}
	}
	a := Answer{Type: m.Type, ID: m.ID, Status: m.Status, Headers: m.Headers, More: m.More, Trailers: m.Trailers, Seq: m.Seq, Reason: m.Reason}
	switch {
	case m.Body != nil && m.BodyBase64 != nil:
		a.Content, a.Member, a.ContentErr = []byte(*m.Body), "bodyBase64", ErrContentTwice
	case m.Body != nil:
		a.Content, a.Member = []byte(*m.Body), "body"
	case m.BodyBase64 != nil:
		content, err := base64.StdEncoding.Strict().DecodeString(*m.BodyBase64)
		if a.Member = "bodyBase64"; err != nil || strings.ContainsAny(*m.BodyBase64, "\r\n") {
			a.ContentErr = ErrBase64
		} else {
			a.Content = content
		}
	}
	return a
}

func refFault(err error) *Fault {
	if e, ok := errors.AsType[*json.SemanticError](err); ok {
		return &Fault{string(e.JSONPointer), ErrType}
	}
	e, ok := errors.AsType[*jsontext.SyntacticError](err)
	switch {
	case !ok:
		return &Fault{"", ErrMessage}
	case errors.Is(e.Err, jsontext.ErrDuplicateName):
		return &Fault{string(e.JSONPointer), ErrTwice}
	}
	return &Fault{string(e.JSONPointer), ErrMalformed}
}
