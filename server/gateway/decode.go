package gateway

import (
	"errors"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"reversehttp/schema"
)

// errTooManyFields ends the decoding of a message that has more fields than it may.
var errTooManyFields = errors.New("too many fields")

// fieldsUpTo has lists of fields decoded so far: more are [errTooManyFields]. Decoded, small
// ones are many times their size. It is made once: a decoder keeps what it found out about types
// with it.
func fieldsUpTo(most int) json.Options {
	return json.WithUnmarshalers(json.UnmarshalFromFunc(func(d *jsontext.Decoder, list *[]schema.Field) error {
		if d.PeekKind() != jsontext.KindBeginArray {
			return errors.ErrUnsupported // null, or the error
		}
		*list = []schema.Field{}
		return elements(d, func() error {
			if len(*list) >= most {
				return errTooManyFields
			}
			var f schema.Field
			err := json.UnmarshalDecode(d, &f)
			*list = append(*list, f)
			return err
		})
	}))
}

// decode gives the messages of a POST, of which there are at most most, each with as many
// fields as bound allows, see [fieldsUpTo]. One pass does for nearly all. Whatever it fails at is decoded message by
// message, so that a fault is that of its message alone.
func decode(body []byte, most int, bound json.Options) ([]*message, error) {
	if p := misshapen(body); p != nil {
		return nil, p
	}
	var one struct {
		Messages batch `json:"messages"`
		message
	}
	one.Messages.most = most
	if jsontext.Value(body).Kind() == jsontext.KindBeginObject && json.Unmarshal(body, &one, bound) == nil {
		if one.Messages.list != nil {
			return one.Messages.list, nil
		}
		return []*message{&one.message}, nil
	}
	apart, err := split(body, most)
	if errors.Is(err, errTooMany) {
		return nil, &problem{code: schema.CodeBadMember, pointer: "/messages", detail: "More messages than limits.batch allows. Send them in several requests."}
	}
	if err != nil {
		return nil, badJSON(err)
	}
	messages := make([]*message, len(apart))
	for i, raw := range apart {
		messages[i] = decodeOne(raw, bound)
	}
	return messages, nil
}

// batch is the member messages. It takes no more of them than there may be:
// decoded, small ones are many times their size.
type batch struct {
	most int
	list []*message
}

var errNotWhole = errors.New("no list of objects, or too many of them")

func (b *batch) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	if d.PeekKind() != jsontext.KindBeginArray {
		return errNotWhole
	}
	b.list = []*message{}
	return elements(d, func() error {
		if d.PeekKind() != jsontext.KindBeginObject || len(b.list) >= b.most {
			return errNotWhole
		}
		m := new(message)
		b.list = append(b.list, m)
		return json.UnmarshalDecode(d, m)
	})
}

// elements reads an array, and each element of it with read.
func elements(d *jsontext.Decoder, read func() error) error {
	_, err := d.ReadToken()
	for err == nil && d.PeekKind() != jsontext.KindEndArray {
		err = read()
	}
	if err == nil {
		_, err = d.ReadToken()
	}
	return err
}

// split gives the messages of a POST: of its member messages, or itself. It
// fails with errTooMany before it has kept more than most.
func split(body []byte, most int) ([]jsontext.Value, error) {
	var several struct {
		Messages apartList `json:"messages"`
	}
	several.Messages.most = most
	if err := json.Unmarshal(body, &several); err != nil {
		return nil, err
	}
	if several.Messages.list != nil {
		return several.Messages.list, nil
	}
	return []jsontext.Value{body}, nil
}

// apartList is the member messages, each as it stands.
type apartList struct {
	most int
	list []jsontext.Value
}

var errTooMany = errors.New("too many messages")

func (p *apartList) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	if d.PeekKind() != jsontext.KindBeginArray {
		return json.UnmarshalDecode(d, &p.list) // null, or the error
	}
	p.list = []jsontext.Value{}
	return elements(d, func() error {
		if len(p.list) >= p.most {
			return errTooMany
		}
		raw, err := d.ReadValue()
		if err == nil {
			p.list = append(p.list, raw.Clone())
		}
		return err
	})
}

// decodeOne gives a message, or one that has a fault.
func decodeOne(raw jsontext.Value, bound json.Options) *message {
	if raw.Kind() != jsontext.KindBeginObject {
		return &message{fault: &fault{"", "a message is a JSON object"}}
	}
	m := new(message)
	if err := json.Unmarshal(raw, m, bound); err != nil {
		return &message{ID: idOf(raw), fault: faultOfMessage(err)}
	}
	return m
}

// text is a string that is needed as bytes.
type text []byte

func (t *text) UnmarshalText(b []byte) error {
	*t = append(text{}, b...)
	return nil
}
