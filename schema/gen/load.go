package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
)

// A def is a named schema: a member of $defs or of properties, in the order of the file.
type def struct {
	name string
	node
}

// A node holds the keywords that the schemas use.
type node struct {
	Schema      string   `json:"$schema"`
	ID          string   `json:"$id"`
	Title       string   `json:"title"`
	Description string   `json:"description"`
	Ref         string   `json:"$ref"`
	Defs        defs     `json:"$defs"`
	Type        string   `json:"type"`
	Const       any      `json:"const"`
	Enum        []string `json:"enum"`
	Properties  defs     `json:"properties"`
	Required    []string `json:"required"`
	Not         *node    `json:"not"`
	OneOf       []node   `json:"oneOf"`
	Items       *items   `json:"items"`
	PrefixItems []node   `json:"prefixItems"`
	Format      string   `json:"format"`

	// Default is null if an absent member must be distinguished from an empty one.
	Default json.RawMessage `json:"default"`

	// These bound values but do not change types.
	MinItems        int    `json:"minItems"`
	MaxItems        int    `json:"maxItems"`
	MinLength       int    `json:"minLength"`
	MaxLength       int    `json:"maxLength"`
	Minimum         int    `json:"minimum"`
	Maximum         int    `json:"maximum"`
	Pattern         string `json:"pattern"`
	ContentEncoding string `json:"contentEncoding"`
}

// items is the schema of elements; never stands for the schema false.
type items struct {
	node
	never bool
}

func (i *items) UnmarshalJSON(b []byte) error {
	if string(b) == "false" {
		i.never = true
		return nil
	}
	return strict(b, &i.node)
}

type defs []def

func (d *defs) UnmarshalJSON(b []byte) error {
	dec := json.NewDecoder(bytes.NewReader(b))
	if _, err := dec.Token(); err != nil {
		return err
	}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return err
		}
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			return err
		}
		one := def{name: name.(string)}
		if err := strict(raw, &one.node); err != nil {
			return fmt.Errorf("%s: %w", one.name, err)
		}
		if one.Description == "" {
			return fmt.Errorf("%s: no description", one.name)
		}
		*d = append(*d, one)
	}
	return nil
}

// strict decodes a schema. Unknown keywords are an error.
func strict(b []byte, n *node) error {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	return dec.Decode(n)
}

func load(file string) ([]def, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var n node
	if err := strict(b, &n); err != nil {
		return nil, err
	}
	return n.Defs, nil
}

// optional reports whether the member may be absent from an object of d.
func (d def) optional(member string) bool { return !slices.Contains(d.Required, member) }

// nullable reports whether a Go value of d must distinguish an absent member from an empty one: if
// no member is required, if members exclude each other, for JSON Pointers, since the empty one
// names the whole document, and if the schema gives null as the default.
func (d def) nullable(m def) bool {
	excluded := d.Not != nil && slices.Contains(d.Not.Required, m.name)
	return d.optional(m.name) && (len(d.Required) == 0 || excluded || m.Format == "json-pointer" || string(m.Default) == "null")
}

// target returns the Go and TypeScript name of the definition that a reference points to, in the
// same file or another one here.
func target(ref string) (string, error) {
	file, name, found := strings.Cut(ref, "#/$defs/")
	if !found || file != "" && !strings.HasPrefix(file, "reversehttp:") {
		return "", fmt.Errorf("unknown reference %q", ref)
	}
	return exported(name), nil
}

// exported returns the exported Go name for the name of a member: URLTemplate for urlTemplate,
// NoClaim for no_claim.
func exported(name string) string {
	var out strings.Builder
	for word := range strings.SplitSeq(name, "_") {
		for word != "" {
			end := strings.IndexFunc(word[1:], func(r rune) bool { return r >= 'A' && r <= 'Z' }) + 1
			if end == 0 {
				end = len(word)
			}
			part := word[:end]
			switch lower := strings.ToLower(part); lower {
			case "id", "ip", "url", "http", "json":
				out.WriteString(strings.ToUpper(part))
			default:
				out.WriteString(strings.ToUpper(part[:1]) + part[1:])
			}
			word = word[end:]
		}
	}
	return out.String()
}

// wrap breaks text into lines of at most width bytes.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && len(line)+1+len(word) > width {
			lines, line = append(lines, line), ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}
