package reversehttp

import (
	"net/http"

	"reversehttp/schema/envelope"
)

// message is a request that a poll or a tunnel brought.
type message struct {
	envelope.Message
	header  http.Header // the fields, where they are not in the message
	streams bool        // there is content that is read from the line
}

// newBatch decodes the answer to a poll. No content is an empty batch.
func newBatch(content []byte) (envelope.Batch, error) {
	b, err := envelope.DecodeBatch(content)
	if err != nil {
		return b, &Error{Code: codeUnexpected, Detail: err.Error()}
	}
	return b, nil
}
