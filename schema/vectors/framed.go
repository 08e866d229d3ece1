package vectors

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"strings"
	"unicode/utf8"

	"reversehttp/schema/envelope"
)

// Frame converts a message from JSON to the framed form, with its body or bodyBase64 as content
// beside it. Anything else is returned as a line, unchanged.
func Frame(message json.RawMessage) []byte {
	var members map[string]json.RawMessage
	content, beside := []byte(nil), false
	if json.Unmarshal(message, &members) == nil && members["contentLength"] == nil {
		content, beside = contentOf(members)
	}
	if beside {
		delete(members, "body")
		delete(members, "bodyBase64")
		members["contentLength"], _ = json.Marshal(len(content))
		message, _ = json.Marshal(members)
	}
	var line bytes.Buffer
	if json.Compact(&line, message) != nil {
		line.Reset()
		line.Write(message)
	}
	line.WriteByte('\n')
	if beside {
		line.Write(content)
		line.WriteByte('\n')
	}
	return line.Bytes()
}

// contentOf returns the content of a message, and whether it has exactly one.
func contentOf(members map[string]json.RawMessage) ([]byte, bool) {
	body, coded := members["body"], members["bodyBase64"]
	var s string
	switch {
	case (body == nil) == (coded == nil):
		return nil, false
	case json.Unmarshal(append(body, coded...), &s) != nil:
		return nil, false
	case coded == nil:
		return []byte(s), true
	}
	content, err := base64.StdEncoding.Strict().DecodeString(s)
	return content, err == nil && !strings.ContainsAny(s, "\r\n")
}

// Unframe reads a message in the framed form, and returns it as JSON, with its content as body or
// bodyBase64. The error is [io.EOF] at the end.
func Unframe(in *bufio.Reader) (json.RawMessage, error) {
	line, err := envelope.ReadLine(in, nil)
	if err != nil {
		return nil, err
	}
	message := bytes.Clone(line)
	var members map[string]json.RawMessage
	var length int64
	if json.Unmarshal(message, &members) != nil || members["contentLength"] == nil {
		return message, nil
	}
	if err := json.Unmarshal(members["contentLength"], &length); err != nil {
		return nil, err
	}
	content, err := io.ReadAll(io.LimitReader(in, length))
	if err != nil {
		return nil, err
	}
	if int64(len(content)) < length {
		return nil, io.ErrUnexpectedEOF
	}
	delete(members, "contentLength")
	switch {
	case length == 0:
	case utf8.Valid(content):
		members["body"], _ = json.Marshal(string(content))
	default:
		members["bodyBase64"], _ = json.Marshal(content)
	}
	if message, err = json.Marshal(members); err != nil {
		return nil, err
	}
	return message, envelope.ReadEnd(in)
}
