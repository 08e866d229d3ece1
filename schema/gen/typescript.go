package main

import (
	"encoding/json"
	"fmt"
	"strings"
)

func tsTypes(defs []def) ([]byte, error) {
	var out strings.Builder
	out.WriteString(strings.TrimSuffix(header, "\n"))
	for _, d := range defs {
		if err := tsType(&out, d); err != nil {
			return nil, fmt.Errorf("%s: %w", d.name, err)
		}
	}
	return []byte(out.String()), nil
}

func tsType(out *strings.Builder, d def) error {
	name := exported(d.name)
	switch {
	case d.Type == "string" && d.Enum != nil:
		tsEnum(out, name, d.node)
		return nil
	case d.PrefixItems != nil:
		// The only tuple is a field; its elements have these names.
		if d.name != "field" {
			return fmt.Errorf("unknown tuple")
		}
		fmt.Fprintf(out, "\n%sexport type %s = [name: string, value: string]\n", tsDoc("", d.Description), name)
		return nil
	case d.Type != "object":
		return fmt.Errorf("definition of type %q", d.Type)
	}
	var enums strings.Builder
	fmt.Fprintf(out, "\n%sexport interface %s {\n", tsDoc("", d.Description), name)
	for _, m := range d.Properties {
		typ, err := tsMember(name, m)
		if err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
		if m.Enum != nil {
			tsEnum(&enums, name+exported(m.name), m.node)
		}
		mark := ""
		if d.optional(m.name) {
			mark = "?"
		}
		fmt.Fprintf(out, "%s  %s%s: %s\n", tsDoc("  ", m.Description), m.name, mark, typ)
	}
	out.WriteString("}\n" + enums.String())
	return nil
}

// tsMember returns the TypeScript type of a member of the object called owner.
func tsMember(owner string, m def) (string, error) {
	switch {
	case m.Ref != "":
		return target(m.Ref)
	case m.Const != nil:
		b, err := json.Marshal(m.Const)
		return strings.ReplaceAll(string(b), `"`, "'"), err
	case m.Enum != nil:
		return owner + exported(m.name), nil
	case m.OneOf != nil:
		var union []string
		for _, n := range m.OneOf {
			one, err := tsMember(owner, def{m.name, n})
			if err != nil {
				return "", err
			}
			union = append(union, one)
		}
		return "(" + strings.Join(union, " | ") + ")", nil
	case m.Type == "array" && m.Items != nil && !m.Items.never:
		if e := m.Items.Enum; len(e) == 1 {
			return "'" + e[0] + "'[]", nil
		} else if len(e) > 1 {
			return "('" + strings.Join(e, "' | '") + "')[]", nil
		}
		elem, err := tsMember(owner, def{m.name, m.Items.node})
		return elem + "[]", err
	case m.Type == "integer":
		return "number", nil
	case m.Type == "boolean" || m.Type == "string":
		return m.Type, nil
	}
	return "", fmt.Errorf("unknown construct of type %q", m.Type)
}

// tsEnum writes a union as prettier does: on one line if it fits into 100 columns, otherwise on the
// next line if it fits there.
func tsEnum(out *strings.Builder, name string, n node) {
	line := fmt.Sprintf("export type %s = '%s'", name, strings.Join(n.Enum, "' | '"))
	if len(line) > 100 {
		line = fmt.Sprintf("export type %s =\n  '%s'", name, strings.Join(n.Enum, "' | '"))
	}
	if _, second, _ := strings.Cut(line, "\n"); len(second) > 100 {
		line = fmt.Sprintf("export type %s =\n  | '%s'", name, strings.Join(n.Enum, "'\n  | '"))
	}
	out.WriteString("\n" + tsDoc("", n.Description) + line + "\n")
}

func tsDoc(indent, text string) string {
	lines := wrap(text, 94-len(indent))
	if len(lines) == 1 {
		return indent + "/** " + lines[0] + " */\n"
	}
	return indent + "/**\n" + indent + " * " + strings.Join(lines, "\n"+indent+" * ") + "\n" + indent + " */\n"
}
