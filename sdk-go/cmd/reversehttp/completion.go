package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// completion prints a script for a shell. The script knows commands and flags by itself and never runs this program.
type completion struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"Shell: bash, zsh or fish. Such as: source <(reversehttp completion bash)."`
}

// places are what an argument or a flag names; others are left to the person who types.
var places = map[string]string{"serve dir": "directory"}

// choices are the words that a flag is mostly given, where kong does not know them.
var choices = map[string][]string{"host-header": {"preserve", "rewrite"}}

func (c *completion) script(app *kong.Application) string {
	switch c.Shell {
	case "zsh":
		return zsh(app)
	case "fish":
		return fish(app)
	}
	return bash(app)
}

func flagsOf(command *kong.Node) []*kong.Flag {
	return slices.Concat(slices.Concat(command.AllFlags(true)...))
}

func wordsOf(f *kong.Flag) []string {
	if f.Enum != "" {
		return f.EnumSlice()
	}
	return choices[f.Name]
}

// argument returns what the argument of a command may be.
func argument(command *kong.Node) (words []string, place string) {
	for _, p := range command.Positional {
		if p.Enum != "" {
			words = append(words, p.EnumSlice()...)
		}
		place = places[command.Name+" "+p.Name]
	}
	return words, place
}

func bash(app *kong.Application) string {
	var names, valued []string
	var values strings.Builder
	seen := map[string]bool{}
	for _, c := range app.Children {
		names = append(names, c.Name)
		for _, f := range flagsOf(c) {
			if seen[f.Name] || f.IsBool() {
				continue
			}
			seen[f.Name] = true
			valued = append(valued, "--"+f.Name)
			if f.Short != 0 {
				valued = append(valued, "-"+string(f.Short))
			}
			if words := wordsOf(f); words != nil {
				fmt.Fprintf(&values, "    --%s) COMPREPLY=($(compgen -W '%s' -- \"$word\")) && return ;;\n", f.Name, strings.Join(words, " "))
			}
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, `# bash completion of %[1]s: source <(%[1]s completion bash)
_%[1]s() {
  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} command= i
  [[ $word == = ]] && word=
  [[ $before == = ]] && before=${COMP_WORDS[COMP_CWORD-2]}
  for ((i = 1; i < COMP_CWORD; i++)); do
    case ${COMP_WORDS[i]} in
      %[3]s) [[ ${COMP_WORDS[++i]} == = ]] && ((++i)) ;;
      %[2]s) command=${COMP_WORDS[i]} && break ;;
    esac
  done
  COMPREPLY=()
  case $before in
%[4]s    %[3]s) return ;;
  esac
  case $command in
`, app.Name, strings.Join(names, "|"), strings.Join(valued, "|"), values.String())
	for _, c := range app.Children {
		words, place := argument(c)
		var flags []string
		for _, f := range flagsOf(c) {
			flags = append(flags, "--"+f.Name)
		}
		fmt.Fprintf(&b, `    %s)
      if [[ $word == -* ]]; then
        COMPREPLY=($(compgen -W '%s' -- "$word"))
      else
        %s
      fi ;;
`, c.Name, strings.Join(flags, " "), bashArgument(words, place))
	}
	fmt.Fprintf(&b, "    *) COMPREPLY=($(compgen -W '%s' -- \"$word\")) ;;\n  esac\n}\ncomplete -F _%[2]s %[2]s\n", strings.Join(append(names, "--help"), " "), app.Name)
	return b.String()
}

func bashArgument(words []string, place string) string {
	switch {
	case place == "directory":
		return `local IFS=$'\n' && compopt -o filenames && COMPREPLY=($(compgen -d -- "$word"))`
	case words != nil:
		return fmt.Sprintf(`COMPREPLY=($(compgen -W '%s' -- "$word"))`, strings.Join(words, " "))
	}
	return ":"
}

func zsh(app *kong.Application) string {
	var b strings.Builder
	fmt.Fprintf(&b, "#compdef %[1]s\n# zsh completion of %[1]s: source <(%[1]s completion zsh)\n_%[1]s() {\n  local -a commands flags\n  commands=(\n", app.Name)
	for _, c := range app.Children {
		fmt.Fprintf(&b, "    %s\n", quote(c.Name+":"+line(c.Help)))
	}
	b.WriteString("  )\n  local command= word\n  for word in ${words[2,CURRENT-1]}; do\n    if (( ${commands[(I)$word:*]} )); then command=$word; break; fi\n  done\n  case $command in\n")
	for _, c := range app.Children {
		fmt.Fprintf(&b, "  %s)\n    flags=(\n", c.Name)
		for _, f := range flagsOf(c) {
			fmt.Fprintf(&b, "      %s\n", quote(zshFlag(f)))
		}
		action := "_default"
		switch words, place := argument(c); {
		case place == "directory":
			action = "_files -/"
		case words != nil:
			action = "(" + strings.Join(words, " ") + ")"
		}
		fmt.Fprintf(&b, "    )\n    _arguments $flags '1: :(%s)' %s ;;\n", c.Name, quote("2: :"+action))
	}
	fmt.Fprintf(&b, "  *) _describe command commands ;;\n  esac\n}\nif [[ $funcstack[1] = _%[1]s ]]; then _%[1]s \"$@\"; else compdef _%[1]s %[1]s; fi\n", app.Name)
	return b.String()
}

func zshFlag(f *kong.Flag) string {
	help := strings.NewReplacer("[", "(", "]", ")", ":", `\:`).Replace(line(f.Help))
	if f.IsBool() {
		return fmt.Sprintf("--%s[%s]", f.Name, help)
	}
	action := " "
	if words := wordsOf(f); words != nil {
		action = "(" + strings.Join(words, " ") + ")"
	}
	return fmt.Sprintf("--%s=[%s]:%s:%s", f.Name, help, f.Name, action)
}

func fish(app *kong.Application) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# fish completion of %[1]s: %[1]s completion fish | source\ncomplete -c %[1]s -f\n", app.Name)
	for _, c := range app.Children {
		fmt.Fprintf(&b, "complete -c %s -n __fish_use_subcommand -a %s -d %s\n", app.Name, c.Name, fishQuote(line(c.Help)))
	}
	for _, c := range app.Children {
		at := fmt.Sprintf("complete -c %s -n '__fish_seen_subcommand_from %s'", app.Name, c.Name)
		for _, f := range flagsOf(c) {
			b.WriteString(at + " -l " + f.Name)
			if f.Short != 0 {
				b.WriteString(" -s " + string(f.Short))
			}
			if !f.IsBool() {
				b.WriteString(" -x")
			}
			if words := wordsOf(f); words != nil {
				b.WriteString(" -a " + quote(strings.Join(words, " ")))
			}
			b.WriteString(" -d " + fishQuote(line(f.Help)) + "\n")
		}
		switch words, place := argument(c); {
		case place == "directory":
			b.WriteString(at + " -a '(__fish_complete_directories)'\n")
		case words != nil:
			b.WriteString(at + " -a " + quote(strings.Join(words, " ")) + "\n")
		}
	}
	return b.String()
}

// line returns the first sentence of a help.
func line(help string) string {
	first, _, _ := strings.Cut(help, ". ")
	return strings.TrimSuffix(strings.ReplaceAll(first, "\n", " "), ".")
}

// quote quotes for bash and zsh.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

func fishQuote(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, "'", `\'`).Replace(s) + "'"
}
