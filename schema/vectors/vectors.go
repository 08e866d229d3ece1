// Package vectors loads the test vectors of the protocol, and compares what was seen with what a
// case expects. README.md says what each member means. Loading panics if a
// case cannot be read, which is a mistake in this folder.
package vectors

import (
	"bytes"
	"embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
)

//go:embed *.json
var files embed.FS

// Case has the members that every case has.
type Case struct {
	// Name is unique within its file.
	Name string `json:"name"`
	// Why says what the case guards.
	Why string `json:"why"`
}

// Exchanges returns the cases of request.json and response.json.
func Exchanges() (cases []Exchange) {
	for _, file := range []string{"request", "response"} {
		for _, c := range load[Exchange](file + ".json") {
			c.File = file
			cases = append(cases, c)
		}
	}
	return cases
}

// Invalid returns the cases of invalid.json.
func Invalid() []Fault { return load[Fault]("invalid.json") }

// Conversations returns the cases of conversation.json.
func Conversations() []Conversation { return load[Conversation]("conversation.json") }

// ConversationsAs returns the cases of conversation.json after edit changed the text of each, for example the label in it. i counts the
// cases from 0.
func ConversationsAs(edit func(i int, text []byte) []byte) ([]Conversation, error) {
	var all []Conversation
	for i, text := range load[json.RawMessage]("conversation.json") {
		var c Conversation
		if err := json.Unmarshal(edit(i, text), &c); err != nil {
			return nil, fmt.Errorf("vectors: conversation %d: %w", i, err)
		}
		all = append(all, c)
	}
	return all, nil
}

// Client returns the cases of client.json.
func Client() []Script { return load[Script]("client.json") }

func load[T any](name string) []T {
	var file struct {
		Cases []T `json:"cases"`
	}
	read(name, &file)
	return file.Cases
}

func read(name string, into any) {
	b, err := files.ReadFile(name)
	if err != nil {
		panic(err)
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		panic(fmt.Errorf("vectors: %s: %w", name, err))
	}
}

// Content is the content of a message in a case: text, base64, or repeated text. The zero value is
// empty.
type Content struct {
	Body       *string `json:"body,omitempty"`
	BodyBase64 *string `json:"bodyBase64,omitempty"`
	BodyRepeat *Repeat `json:"bodyRepeat,omitempty"`
}

// Repeat is a text repeated, for long content.
type Repeat struct {
	Text  string `json:"text"`
	Count int    `json:"count"`
}

func (r *Repeat) text() string {
	if r == nil {
		return ""
	}
	return strings.Repeat(r.Text, r.Count)
}

// Bytes returns the content.
func (c Content) Bytes() []byte {
	switch {
	case c.BodyRepeat != nil:
		return []byte(c.BodyRepeat.text())
	case c.BodyBase64 != nil:
		return decode(*c.BodyBase64)
	case c.Body != nil:
		return []byte(*c.Body)
	}
	return nil
}

func decode(s string) []byte {
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		panic(fmt.Errorf("vectors: %q: %w", s, err))
	}
	return b
}

// Fill replaces every {name} in s with its value in vars. Names that are not in vars stay.
func Fill(s string, vars map[string]string) string {
	for name, value := range vars {
		s = strings.ReplaceAll(s, "{"+name+"}", value)
	}
	return s
}
