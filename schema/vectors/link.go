package vectors

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"reversehttp/schema"
)

// Opens is a program's request for a link.
type Opens struct {
	// URL is ws: or wss:, usually what a step saved.
	URL string `json:"url"`
	// As is the token to show in Authorization. Empty shows none.
	As      string         `json:"as"`
	Headers []schema.Field `json:"headers"`
}

// Sends is one message of a WebSocket by a program, or a Ping frame: exactly one member is set.
type Sends struct {
	// JSON is one message, sent as text.
	JSON json.RawMessage `json:"json"`
	// Messages are sent together as one binary message, in the framed form.
	Messages []json.RawMessage `json:"messages"`
	// Raw is text, and RawBase64 are bytes, sent unchanged.
	Raw       *string `json:"raw"`
	RawBase64 *string `json:"rawBase64"`
	// Ping is a Ping frame of RFC 6455, which is not a message.
	Ping bool `json:"ping"`
}

// Bytes returns the message, and whether it is binary.
func (s Sends) Bytes(vars map[string]string) (content []byte, binary bool) {
	switch {
	case s.JSON != nil:
		return compact(spelledOut(fill(s.JSON, vars))), false
	case s.Raw != nil:
		return []byte(Fill(*s.Raw, vars)), false
	case s.RawBase64 != nil:
		return decode(*s.RawBase64), true
	}
	for _, m := range s.Messages {
		content = append(content, Frame(spelledOut(fill(m, vars)))...)
	}
	return content, true
}

// List returns the messages, as JSON, that are well-formed.
func (s Sends) List() []json.RawMessage {
	list := s.Messages
	if s.JSON != nil {
		list = []json.RawMessage{s.JSON}
	}
	var all []json.RawMessage
	for _, m := range list {
		all = append(all, spelledOut(m))
	}
	return all
}

// Unlink returns the messages that one message of a WebSocket carries, as JSON, with their content as body or bodyBase64.
func Unlink(content []byte, binary bool) (messages []json.RawMessage, err error) {
	if !binary {
		var one map[string]any
		if err := json.Unmarshal(content, &one); err != nil {
			return nil, fmt.Errorf("vectors: a text message: %w", err)
		}
		return []json.RawMessage{content}, nil
	}
	for in := bufio.NewReader(bytes.NewReader(content)); ; {
		m, err := Unframe(in)
		if err == io.EOF {
			return messages, nil
		}
		if err != nil {
			return nil, fmt.Errorf("vectors: a binary message: %w", err)
		}
		messages = append(messages, m)
	}
}

// TypeOf returns the type of a message, or "" if it has none.
func TypeOf(message json.RawMessage) string {
	var typed struct{ Type string }
	_ = json.Unmarshal(message, &typed) // a message without one is compared as it is
	return typed.Type
}

// ResultsOf splits a message of the type results into its results.
func ResultsOf(message json.RawMessage) ([]json.RawMessage, error) {
	var list struct{ Results []json.RawMessage }
	if err := json.Unmarshal(message, &list); err != nil {
		return nil, err
	}
	return list.Results, nil
}

// IDOf returns the exchange that a message or a result is about.
func IDOf(message json.RawMessage) string {
	var about struct{ ID string }
	_ = json.Unmarshal(message, &about) // one that names none has the empty id
	return about.ID
}

// DiffMessage is like [DiffJSON], for a message as JSON. "bodyRepeat" stands for a body.
func DiffMessage(want json.RawMessage, got []byte, vars map[string]string) string {
	var w any
	if err := json.Unmarshal(spelledOut(want), &w); err != nil {
		return err.Error()
	}
	return DiffJSON(w, got, vars)
}

// spelledOut returns a message with a body in place of its bodyRepeat.
func spelledOut(message json.RawMessage) json.RawMessage {
	var members map[string]json.RawMessage
	var r Repeat
	if json.Unmarshal(message, &members) != nil || members["bodyRepeat"] == nil || json.Unmarshal(members["bodyRepeat"], &r) != nil {
		return message
	}
	delete(members, "bodyRepeat")
	members["body"] = marshal(r.text())
	return marshal(members)
}

func fill(message json.RawMessage, vars map[string]string) json.RawMessage {
	return json.RawMessage(Fill(string(message), vars))
}

func compact(message json.RawMessage) []byte {
	var b bytes.Buffer
	if json.Compact(&b, message) != nil {
		return message
	}
	return b.Bytes()
}

// Web returns the URL of a link with the corresponding HTTP scheme.
func Web(link string) string {
	if rest, ok := strings.CutPrefix(link, "ws"); ok {
		return "http" + rest
	}
	return link
}
