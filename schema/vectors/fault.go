package vectors

import (
	"encoding/json"

	"reversehttp/schema"
)

// Fault is a case of invalid.json.
type Fault struct {
	Case
	// Schema is false for a fault that a JSON schema cannot detect. Nil means that it can.
	Schema *bool `json:"schema"`
	// Method is the method of the visitor's request. Empty means GET.
	Method string `json:"request"`
	// ID replaces the id that the runner puts into the answer; null means none.
	ID     json.RawMessage `json:"id"`
	Answer json.RawMessage `json:"answer"`
	Result struct {
		Status  schema.ResultStatus `json:"status"`
		Pointer string              `json:"pointer"`
	} `json:"result"`
}

// Message returns the faulty answer for the exchange id.
func (f Fault) Message(id string) json.RawMessage {
	var m map[string]json.RawMessage
	if json.Unmarshal(f.Answer, &m) != nil || m == nil {
		return f.Answer
	}
	value := f.ID
	if value == nil {
		value = marshal(id)
	}
	if string(value) == "null" {
		return f.Answer
	}
	m["id"] = value
	return marshal(m)
}

func marshal(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}
