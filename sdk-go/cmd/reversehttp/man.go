package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// man prints the manual page of the command.
type man struct{}

var roffControls = strings.NewReplacer(`\`, `\e`, "-", `\-`, "\n.", "\n\\&.", "\n'", "\n\\&'")

// roff escapes text for a manual page (groff_char(7)).
func roff(text string) string {
	var b strings.Builder
	for _, r := range roffControls.Replace(text) {
		if r < 0x80 {
			b.WriteRune(r)
		} else {
			fmt.Fprintf(&b, `\[u%04X]`, r)
		}
	}
	return b.String()
}

// manual returns the manual page, in the macros of man(7). It has no date: the same commands make the same page.
func manual(app *kong.Application, version string) string {
	var b strings.Builder
	fmt.Fprintf(&b, ".TH REVERSEHTTP 1 \"\" \"reversehttp %s\" \"User Commands\"\n", roff(version))
	b.WriteString(".ad l\n.nh\n.SH NAME\nreversehttp \\- put something of this machine on a public URL, or run the gateway that lends URLs\n")
	b.WriteString(".SH SYNOPSIS\n.B reversehttp\n.I COMMAND\n.RI [ FLAGS ]\n.SH DESCRIPTION\n")
	for paragraph := range strings.SplitSeq(app.Help, "\n\n") {
		if strings.HasPrefix(paragraph, "  ") { // lines to be kept
			fmt.Fprintf(&b, ".PP\n.nf\n%s\n.fi\n", roff(paragraph))
		} else {
			fmt.Fprintf(&b, ".PP\n%s\n", roff(paragraph))
		}
	}
	b.WriteString(".SH COMMANDS\n")
	for _, c := range app.Leaves(true) {
		fmt.Fprintf(&b, ".SS %s\n%s\n", roff(usageOf(c)), roff(c.Help))
		for _, p := range c.Positional {
			fmt.Fprintf(&b, ".TP\n.I %s\n%s\n", roff(strings.ToUpper(p.Name)), roff(p.Help))
		}
		own := c.Flags
		if flags := ownFlags(c.Name); flags != nil {
			own = flags
		}
		manFlags(&b, own)
	}
	b.WriteString(".SH FLAGS OF ALL COMMANDS BUT GATEWAY AND CONFORMANCE\n")
	manFlags(&b, app.Flags)
	b.WriteString(".SH FILES\n.TP\n.I /etc/reversehttp/gateway.jsonc\nSettings of the gateway that systemd starts; each line is explained there.\n")
	return b.String()
}

// usageOf returns the full name of a command, without the program.
func usageOf(c *kong.Node) string {
	path := []string{c.Name}
	for above := c.Parent; above != nil && above.Type == kong.CommandNode; above = above.Parent {
		path = append(path, above.Name)
	}
	slices.Reverse(path)
	return strings.Join(path, " ")
}

// manFlags writes the flags with their environment variables.
func manFlags(b *strings.Builder, flags []*kong.Flag) {
	for _, f := range flags {
		if f.Hidden {
			continue
		}
		name := "--" + f.Name
		if f.Tag.Negatable != "" {
			name = "--[no-]" + f.Name
		}
		if f.Short != 0 {
			name = "-" + string(f.Short) + ", " + name
		}
		value := ""
		if !f.IsBool() {
			value = "=" + strings.Trim(f.FormatPlaceHolder(), `"`)
		}
		fmt.Fprintf(b, ".TP\n.BR \"%s\" \"%s\"\n%s\n", roff(name), roff(strings.ReplaceAll(value, `"`, "")), roff(f.Help))
		if len(f.Envs) > 0 && f.Name != "help" {
			fmt.Fprintf(b, "Also in the environment: %s.\n", roff(strings.Join(f.Envs, ", ")))
		}
	}
}
