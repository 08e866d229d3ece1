package vectors

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"

	"reversehttp/schema/envelope"
)

// Framed returns the case with a gateway that supports the framed form: streams that were NDJSON
// use it.
func (s Script) Framed() Script {
	s.Gateway.Framed = true
	if slices.Contains(s.Gateway.Transports, "ndjson") {
		s.Gateway.Transports = append(slices.Clone(s.Gateway.Transports), "framed")
	}
	s.Expect.Forms = slices.Clone(s.Expect.Forms)
	for i, form := range s.Expect.Forms {
		if form == "ndjson" {
			s.Expect.Forms[i] = "framed"
		}
	}
	return s
}

// FramedLine is [Line] in the framed form: the content of a message stands beside it.
func FramedLine(line json.RawMessage, origin string) string {
	text := Line(line, origin)
	if !json.Valid([]byte(text)) {
		return text
	}
	return string(Frame(json.RawMessage(text)))
}

// Posted returns the messages of a POST to the responses URL, each as JSON. It returns an error if
// a gateway would not accept them.
func Posted(media string, content []byte) (messages []map[string]any, err error) {
	if media != envelope.MediaFramed {
		return postedJSON(content)
	}
	for in := bufio.NewReader(bytes.NewReader(content)); ; {
		text, err := Unframe(in)
		if err == io.EOF {
			return messages, nil
		}
		if err != nil {
			return nil, err
		}
		var m map[string]any
		if err := json.Unmarshal(text, &m); err != nil {
			return nil, fmt.Errorf("posted: %w", err)
		}
		messages = append(messages, m)
	}
}

func postedJSON(content []byte) ([]map[string]any, error) {
	var several struct{ Messages []map[string]any }
	var one map[string]any
	if err := json.Unmarshal(content, &several); err != nil {
		return nil, fmt.Errorf("posted: %w", err)
	}
	if several.Messages != nil {
		return several.Messages, nil
	}
	err := json.Unmarshal(content, &one)
	return []map[string]any{one}, err
}
