package envelope

import "reversehttp/schema"

// DecodeResults reads the answer to a POST to the responses URL. The error is a [*Fault] for content that is no such answer.
func DecodeResults(content []byte) ([]schema.Result, error) {
	r := newReader(content, false)
	defer r.done()
	var results []schema.Result
	member := func(name []byte) error {
		if string(name) != "results" {
			return r.skip()
		}
		results = nil
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
			return r.setString((*string)(&to.Status))
		case "pointer":
			if r.peek() == 'n' {
				return r.word("null")
			}
			to.Pointer = new(string)
			return r.setString(to.Pointer)
		case "detail":
			return r.setString(&to.Detail)
		}
		return r.skip()
	})
}
