package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// completion prints a script for a shell. The script contains all commands and flags, and never
// runs this program.
type completion struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"Shell: bash, zsh or fish. Such as: source <(reversehttp completion bash)."`
}

// places says which arguments name a directory. Others are not completed.
var places = map[string]string{"serve dir": "directory"}

// choices are common values of flags that kong does not know.
var choices = map[string][]string{"host-header": {"preserve", "rewrite"}}

func (c *completion) script(app *kong.Application) string {
	app.Children = slices.DeleteFunc(app.Children, func(c *kong.Node) bool { return c.Hidden })
	switch c.Shell {
	case "zsh":
		return zsh(app)
	case "fish":
		return fish(app)
	}
	return bash(app)
}

// flagsOf returns the flags of a command, or of all commands in a group.
func flagsOf(command *kong.Node) []*kong.Flag {
	flags := ownFlags(command.Name)
	if flags != nil {
		return flags
	}
	for _, f := range slices.Concat(command.AllFlags(true)...) {
		if flags = append(flags, f); f.Tag.Negatable != "" {
			no := *f
			no.Value = new(*f.Value)
			no.Name = "no-" + f.Name
			flags = append(flags, &no)
		}
	}
	for _, c := range command.Children {
		for _, f := range flagsOf(c) {
			if !slices.ContainsFunc(flags, func(other *kong.Flag) bool { return other.Name == f.Name }) {
				flags = append(flags, f)
			}
		}
	}
	return flags
}

func wordsOf(f *kong.Flag) []string {
	if f.Enum != "" {
		return f.EnumSlice()
	}
	return choices[f.Name]
}

// placeOf returns the kind of path that a flag takes, judging by its placeholder.
func placeOf(f *kong.Flag) string {
	if f.PlaceHolder == "FILE" {
		return "file"
	}
	return ""
}

// argument returns the possible values of a command's argument, or the kind of path that it takes.
func argument(command *kong.Node) (words []string, place string) {
	for _, c := range command.Children { // a group has subcommands
		below, _ := argument(c)
		words = append(append(words, c.Name), below...)
	}
	for _, p := range command.Positional {
		if p.Enum != "" {
			words = append(words, p.EnumSlice()...)
		}
		place = places[command.Name+" "+p.Name]
	}
	return words, place
}

// wordsBefore returns the commands, and every spelling of the flags whose value is the next word.
func wordsBefore(app *kong.Application) (commands, valued []string) {
	seen := map[string]bool{}
	for _, c := range app.Children {
		commands = append(commands, c.Name)
		for _, f := range flagsOf(c) {
			if seen[f.Name] || f.IsBool() {
				continue
			}
			seen[f.Name] = true
			valued = append(valued, "--"+f.Name)
			if f.Short != 0 {
				valued = append(valued, "-"+string(f.Short))
			}
		}
	}
	return commands, valued
}

func bash(app *kong.Application) string {
	names, valued := wordsBefore(app)
	var values strings.Builder
	seen := map[string]bool{}
	for _, c := range app.Children {
		for _, f := range flagsOf(c) {
			words, place := wordsOf(f), placeOf(f)
			if seen[f.Name] || words == nil && place == "" {
				continue
			}
			seen[f.Name] = true
			fmt.Fprintf(&values, "    --%s) %s; return ;;\n", f.Name, bashArgument(words, place))
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
		b.WriteString(bashCase(c.Name, flagsOf(c), bashArgument(words, place)))
	}
	b.WriteString(bashCase("*", app.Flags, bashArgument(append(names, "--help"), "")))
	fmt.Fprintf(&b, "  esac\n}\ncomplete -F _%[1]s %[1]s\n", app.Name)
	return b.String()
}

// bashCase returns the case that completes flags and arguments of a command.
func bashCase(command string, flags []*kong.Flag, argument string) string {
	var names []string
	for _, f := range flags {
		names = append(names, "--"+f.Name)
	}
	return fmt.Sprintf(`    %s)
      if [[ $word == -* ]]; then
        COMPREPLY=($(compgen -W '%s' -- "$word"))
      else
        %s
      fi ;;
`, command, strings.Join(names, " "), argument)
}

func bashArgument(words []string, place string) string {
	switch {
	case place == "directory":
		return `local IFS=$'\n' && compopt -o filenames && COMPREPLY=($(compgen -d -- "$word"))`
	case place == "file":
		return `local IFS=$'\n' && compopt -o filenames && COMPREPLY=($(compgen -f -- "$word"))`
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
	names, valued := wordsBefore(app)
	fmt.Fprintf(&b, `  )
  local command= i
  for (( i = 2; i < CURRENT; i++ )); do
    case $words[i] in
    %s) (( i++ )) ;;
    %s) command=$words[i]; break ;;
    esac
  done
  case $command in
`, strings.Join(valued, "|"), strings.Join(names, "|"))
	for _, c := range app.Children {
		b.WriteString(zshFlags(c.Name, flagsOf(c)))
		action := "_default"
		switch words, place := argument(c); {
		case place == "directory":
			action = "_files -/"
		case words != nil:
			action = "(" + strings.Join(words, " ") + ")"
		}
		fmt.Fprintf(&b, "    _arguments $flags '1: :(%s)' %s ;;\n", c.Name, quote("2: :"+action))
	}
	b.WriteString(zshFlags("*", app.Flags) + "    _arguments $flags '*: :{_describe command commands}' ;;\n")
	fmt.Fprintf(&b, "  esac\n}\nif [[ $funcstack[1] = _%[1]s ]]; then _%[1]s \"$@\"; else compdef _%[1]s %[1]s; fi\n", app.Name)
	return b.String()
}

// zshFlags returns the beginning of the case of a command, with its flags.
func zshFlags(command string, flags []*kong.Flag) string {
	var b strings.Builder
	fmt.Fprintf(&b, "  %s)\n    flags=(\n", command)
	for _, f := range flags {
		fmt.Fprintf(&b, "      %s\n", quote(zshFlag(f)))
	}
	return b.String() + "    )\n"
}

func zshFlag(f *kong.Flag) string {
	help := strings.NewReplacer("[", "(", "]", ")", ":", `\:`).Replace(line(f.Help))
	if f.IsBool() {
		return fmt.Sprintf("--%s[%s]", f.Name, help)
	}
	action := " "
	if words := wordsOf(f); words != nil {
		action = "(" + strings.Join(words, " ") + ")"
	} else if placeOf(f) == "file" {
		action = "_files"
	}
	return fmt.Sprintf("--%s=[%s]:%s:%s", f.Name, help, f.Name, action)
}

func fish(app *kong.Application) string {
	var b strings.Builder
	names, valued := wordsBefore(app)
	fmt.Fprintf(&b, `# fish completion of %[1]s: %[1]s completion fish | source
function __%[1]s_at
  set -l words (commandline -opc)
  set -l command ''
  set -l i 2
  while test $i -le (count $words)
    switch $words[$i]
      case %[3]s
        set i (math $i + 1)
      case %[2]s
        set command $words[$i]
        break
    end
    set i (math $i + 1)
  end
  test "$command" = "$argv[1]"
end
complete -c %[1]s -f
`, app.Name, strings.Join(names, " "), strings.Join(valued, " "))
	before := "complete -c " + app.Name + ` -n "__` + app.Name + `_at ''"`
	for _, c := range app.Children {
		fmt.Fprintf(&b, "%s -a %s -d %s\n", before, c.Name, fishQuote(line(c.Help)))
	}
	for _, f := range app.Flags {
		b.WriteString(before + fishFlag(f))
	}
	for _, c := range app.Children {
		at := fmt.Sprintf("complete -c %[1]s -n '__%[1]s_at %[2]s'", app.Name, c.Name)
		for _, f := range flagsOf(c) {
			b.WriteString(at + fishFlag(f))
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

func fishFlag(f *kong.Flag) string {
	spec := " -l " + f.Name
	if f.Short != 0 {
		spec += " -s " + string(f.Short)
	}
	switch {
	case placeOf(f) == "file":
		spec += " -r -F"
	case !f.IsBool():
		spec += " -x"
	}
	if words := wordsOf(f); words != nil {
		spec += " -a " + quote(strings.Join(words, " "))
	}
	return spec + " -d " + fishQuote(line(f.Help)) + "\n"
}

// line returns the first sentence of a help text.
func line(help string) string {
	first, _, _ := strings.Cut(help, ". ")
	return strings.TrimSuffix(strings.ReplaceAll(first, "\n", " "), ".")
}

// quote quotes s for bash and zsh.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

func fishQuote(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, "'", `\'`).Replace(s) + "'"
}
