package reversehttp

import (
	"encoding/json"
	"net/http"

	"reversehttp/schema"
)

// batch is a schema.Batch with its messages decoded.
type batch struct {
	Cursor   string    `json:"cursor"`
	Messages []message `json:"messages"`
}

// message is a request or a cancellation; Type tells which.
type message struct {
	schema.Request
	Reason schema.CancelReason `json:"reason"`
	// Answered: of a tunnel, ids of exchanges whose answers the gateway has.
	Answered []string `json:"answered"`
	fault    error
	header   http.Header // the fields, where they are not in the message
	streams  bool        // there is content that is read from the line
}

// newBatch decodes the answer to a poll. No content is an empty batch.
func newBatch(content []byte) (batch, error) {
	var b batch
	if len(content) == 0 {
		return b, nil
	}
	if err := json.Unmarshal(content, &b); err == nil {
		return b, nil
	}
	// A message of a type to come may have any members. One by one, so that a fault is that of its message alone.
	var raw schema.Batch
	if err := json.Unmarshal(content, &raw); err != nil {
		return batch{}, &Error{Code: codeUnexpected, Detail: err.Error()}
	}
	b = batch{Cursor: raw.Cursor, Messages: make([]message, len(raw.Messages))}
	for i, m := range raw.Messages {
		b.Messages[i].fault = json.Unmarshal(m, &b.Messages[i])
	}
	return b, nil
}
