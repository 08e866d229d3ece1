package envelope

import (
	"strconv"

	"reversehttp/schema"
)

// DecodeResults decodes the answer to a POST to the responses URL. The error is a [*Fault] if
// content is not such an answer.
func DecodeResults(content []byte) ([]schema.Result, error) { return ReadResults(nil, content) }

// ReadResults is like [DecodeResults], but reuses the memory of room. It also decodes the results
// on a link.
func ReadResults(room []schema.Result, content []byte) ([]schema.Result, error) {
	r := newReader(content, false)
	defer r.done()
	room = room[:0]
	results := room
	member := func(name []byte) error {
		if string(name) != "results" {
			return r.skip()
		}
		results = room
		if r.peek() != '[' {
			return r.mistyped()
		}
		return r.elements(func(int) error {
			results = append(results, schema.Result{})
			return r.result(&results[len(results)-1])
		})
	}
	read := r.mistyped
	if r.peek() == '{' {
		read = func() error { return r.members(member) }
	}
	err := read()
	if err == nil {
		err = r.end()
	}
	if err == nil && r.place.fault != nil {
		err = r.place.fault
	}
	if err != nil {
		return nil, err
	}
	return results, nil
}

// AppendResults appends the results of messages on a link as JSON.
func AppendResults(b []byte, results []schema.Result) []byte {
	b = append(b, `{"type":"results","results":[`...)
	for i := range results {
		r := &results[i]
		if i > 0 {
			b = append(b, ',')
		}
		b = AppendString(append(b, `{"id":`...), r.ID)
		b = AppendString(append(b, `,"status":`...), string(r.Status))
		if r.Pointer != nil {
			b = AppendString(append(b, `,"pointer":`...), *r.Pointer)
		}
		if r.Detail != "" {
			b = AppendString(append(b, `,"detail":`...), r.Detail)
		}
		if r.Seq > 0 {
			b = strconv.AppendInt(append(b, `,"seq":`...), int64(r.Seq), 10)
		}
		if r.ExchangeWindow > 0 {
			b = strconv.AppendInt(append(b, `,"exchangeWindow":`...), int64(r.ExchangeWindow), 10)
		}
		b = append(b, '}')
	}
	return append(b, "]}"...)
}

// result reads a result.
func (r *reader) result(to *schema.Result) error {
	if r.peek() != '{' {
		return r.mistyped()
	}
	return r.members(func(name []byte) error {
		switch string(name) {
		case "id":
			return r.setString(&to.ID)
		case "status":
			return readStatus(r, &to.Status)
		case "pointer":
			if r.peek() == 'n' {
				return r.word("null")
			}
			to.Pointer = new(string)
			return r.setString(to.Pointer)
		case "detail":
			return r.setString(&to.Detail)
		case "seq":
			return r.setInt(&to.Seq)
		case "exchangeWindow":
			return r.setInt(&to.ExchangeWindow)
		}
		return r.skip()
	})
}

// readStatus reads the status of a result. Known statuses are not allocated.
func readStatus(r *reader, to *schema.ResultStatus) error {
	raw, escaped, ok, err := r.string()
	if !ok {
		return err
	}
	switch string(raw) {
	case string(schema.ResultAccepted):
		*to = schema.ResultAccepted
	case string(schema.ResultDuplicate):
		*to = schema.ResultDuplicate
	default:
		*to = schema.ResultStatus(appendText(nil, raw, escaped, r.strict))
	}
	return nil
}
