package main

import (
	"fmt"
	"go/format"
	"strings"
)

func goTypes(defs []def) ([]byte, error) {
	var out strings.Builder
	out.WriteString(header + "package schema\n\nimport \"encoding/json\"\n")
	for _, d := range defs {
		if err := goType(&out, d); err != nil {
			return nil, fmt.Errorf("%s: %w", d.name, err)
		}
	}
	return format.Source([]byte(out.String()))
}

func goType(out *strings.Builder, d def) error {
	name := exported(d.name)
	switch {
	case d.Type == "string" && d.Enum != nil:
		goEnum(out, name, name, d.node)
		return nil
	case d.Type == "array" && len(d.PrefixItems) > 0 && d.Items != nil && d.Items.never:
		for _, p := range d.PrefixItems {
			if p.Type != "string" {
				return fmt.Errorf("tuple of %q", p.Type)
			}
		}
		fmt.Fprintf(out, "\n%stype %s [%d]string\n", goDoc(name, d.node), name, len(d.PrefixItems))
		return nil
	case d.Type != "object":
		return fmt.Errorf("definition of type %q", d.Type)
	}
	var enums strings.Builder
	fmt.Fprintf(out, "\n%stype %s struct {\n", goDoc(name, d.node), name)
	for _, m := range d.Properties {
		typ, err := goMember(name, m)
		if err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
		if m.Enum != nil {
			goEnum(&enums, name+exported(m.name), name, m.node)
		}
		if s, ok := m.Const.(string); ok {
			c := exported(m.name) + name
			fmt.Fprintf(&enums, "\n// %s is the %s of every %s.\nconst %s = %q\n", c, m.name, name, c, s)
		}
		if d.nullable(m) {
			typ = "*" + typ
		}
		omit := ""
		if d.optional(m.name) {
			omit = ",omitempty"
		}
		fmt.Fprintf(out, "%s%s %s `json:\"%s%s\"`\n", goDoc(exported(m.name), m.node), exported(m.name), typ, m.name, omit)
	}
	out.WriteString("}\n" + enums.String())
	return nil
}

// goMember returns the Go type of a member of the object called owner.
func goMember(owner string, m def) (string, error) {
	switch {
	case m.Ref != "":
		return target(m.Ref)
	case m.Enum != nil:
		return owner + exported(m.name), nil
	case m.OneOf != nil:
		return "json.RawMessage", nil
	case m.Type == "array" && m.Items != nil && !m.Items.never:
		if m.Items.Enum != nil {
			return "[]string", nil
		}
		elem, err := goMember(owner, def{m.name, m.Items.node})
		return "[]" + elem, err
	case m.Type == "integer":
		return "int", nil
	case m.Type == "boolean":
		return "bool", nil
	case m.Type == "string":
		return "string", nil
	}
	if _, ok := m.Const.(string); ok {
		return "string", nil
	}
	return "", fmt.Errorf("unknown construct of type %q", m.Type)
}

func goEnum(out *strings.Builder, name, prefix string, n node) {
	fmt.Fprintf(out, "\n%stype %s string\n\n// The values of %s.\nconst (\n", goDoc(name, n), name, name)
	for _, v := range n.Enum {
		fmt.Fprintf(out, "%s%s %s = %q\n", prefix, exported(v), name, v)
	}
	out.WriteString(")\n")
}

// goDoc returns a comment that starts with the name and is a sentence if the description allows it.
func goDoc(name string, n node) string {
	first, _, _ := strings.Cut(n.Description, " ")
	lower := strings.ToLower(n.Description[:1]) + n.Description[1:]
	text := name + ": " + lower
	switch first {
	case "A", "An", "The", "One", "How", "What", "When", "Where", "Always":
		text = name + " " + be(n) + " " + lower
	case "Whether":
		text = name + " reports " + lower
	case "Which", "Whose", "Why":
		text = name + " says " + lower
	case "Names", "Counts", "Notifies", "Abandons", "Acknowledges", "Subscribes", "Answers":
		text = name + " " + lower
	}
	return "// " + strings.Join(wrap(text, 110), "\n// ") + "\n"
}

// be returns the verb between a name and its description: are for lists and if the second word is a plural.
func be(n node) string {
	list := n.Type == "array" && n.Items != nil && !n.Items.never
	words := strings.Fields(n.Description)
	plural := len(words) > 1 && strings.HasSuffix(words[1], "s") && !strings.HasSuffix(words[1], "us") && !strings.HasSuffix(words[1], "'s")
	if list || plural && words[0] == "The" {
		return "are"
	}
	return "is"
}
