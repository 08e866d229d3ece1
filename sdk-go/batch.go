package reversehttp

import "reversehttp/schema/envelope"

// message is a request that a poll or a link brought.
type message struct {
	envelope.Message
	info Info // of the request
}

// batch is what a poll brought.
type batch struct {
	cursor   string     // names the last message
	messages []*message // each by itself: a long exchange must not keep the others in memory
}

// newBatch decodes the answer to a poll. No content is an empty batch.
func newBatch(content []byte) (b batch, err error) {
	decoded, err := envelope.DecodeBatch(content)
	if err != nil {
		return b, &Error{Code: codeUnexpected, Detail: err.Error()}
	}
	b.cursor = decoded.Cursor
	for i := range decoded.Messages {
		b.messages = append(b.messages, &message{Message: decoded.Messages[i]})
	}
	return b, nil
}
