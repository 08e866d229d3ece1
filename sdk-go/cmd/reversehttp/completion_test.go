package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// script returns the output of the command completion.
func script(t *testing.T, shell string) string {
	t.Helper()
	var stdout, stderr buffer
	if code := run([]string{"completion", shell}, nil, &stdout, &stderr); code != 0 || stderr.String() != "" {
		t.Fatalf("completion %s = %d %s", shell, code, stderr.String())
	}
	return stdout.String()
}

func TestBashCompletes(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("there is no bash here")
	}
	dir := t.TempDir()
	for _, d := range []string{"photos of mine", "plans"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "plain.txt"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for typed, want := range map[string]string{
		"reversehttp ":                                    "--help|admin|callback|completion|conformance|echo|forward|gateway|inbox|inspect|mcp|replay|serve|up",
		"reversehttp f":                                   "forward",
		"reversehttp --la":                                "--label",
		"reversehttp --v":                                 "--verbose|--version",
		"reversehttp --label x fo":                        "forward",
		"reversehttp forward --h":                         "--h2c|--help|--host-header",
		"reversehttp forward --host-header ":              "preserve|rewrite",
		"reversehttp forward --host-header = rew":         "rewrite",
		"reversehttp forward --host-header = ":            "preserve|rewrite",
		"reversehttp forward 3000 --l":                    "--label|--lease",
		"reversehttp --label serve forward --upstream-in": "--upstream-insecure",
		"reversehttp forward --label ":                    "",
		"reversehttp echo --transport p":                  "poll",
		"reversehttp serve p":                             "photos of mine|plans",
		"reversehttp serve --d":                           "--domain|--dot-files|--drain",
		"reversehttp inbox --st":                          "--status",
		"reversehttp inspect --s":                         "--secrets|--share|--status",
		"reversehttp inspect --har pl":                    "plain.txt|plans",
		"reversehttp replay --data":                       "--data|--data-file",
		"reversehttp replay --data-file pl":               "plain.txt|plans",
		"reversehttp --ca pl":                             "plain.txt|plans",
		"reversehttp forward --no-i":                      "--no-inspect",
		"reversehttp --transport x":                       "",
		"reversehttp gateway --acme-d":                    "--acme-dir|--acme-dns|--acme-dns-key",
		"reversehttp gateway --tls-cert pl":               "plain.txt|plans",
		"reversehttp gateway --log-format ":               "json|text",
		"reversehttp completion ":                         "bash|fish|zsh",
		"reversehttp admin ta":                            "takedown|takedowns",
		"reversehttp admin key n":                         "new",
		"reversehttp admin --ad":                          "--admin|--admin-key-file",
	} {
		words := strings.Split(typed, " ")
		// compopt works in a real completion only.
		code := script(t, "bash") + "\ncompopt() { :; }\nset -u\nCOMP_WORDS=(\"$@\")\nCOMP_CWORD=$(($# - 1))\n_reversehttp\n((${#COMPREPLY[@]})) && printf '%s\\n' \"${COMPREPLY[@]}\"\ntrue\n"
		c := exec.Command(bash, append([]string{"--norc", "-c", code, "bash"}, words...)...)
		c.Dir = dir
		out, err := c.CombinedOutput()
		got := strings.FieldsFunc(string(out), func(r rune) bool { return r == '\n' })
		slices.Sort(got)
		if err != nil || strings.Join(got, "|") != want {
			t.Errorf("%q = %q %v, want %q", typed, got, err, want)
		}
	}
}

// shell returns the path of a shell, a script that completes in it, and a directory with directories.
func shell(t *testing.T, name string) (path, file, dir string) {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("there is no %s here; run: sudo apt-get install -y %s", name, name)
	}
	file, dir = filepath.Join(t.TempDir(), "script"), t.TempDir()
	if err := os.WriteFile(file, []byte(script(t, name)), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "plans"), 0o755); err != nil {
		t.Fatal(err)
	}
	return path, file, dir
}

// completed runs a shell that prints completions, in the directory.
func completed(t *testing.T, dir, path string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c := exec.CommandContext(ctx, path, args...)
	c.Dir, c.WaitDelay = dir, patience
	c.Env = append(os.Environ(), "HOME="+t.TempDir(), "TERM=dumb")
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return strings.TrimSpace(string(out))
}

func TestTheBashScriptLoads(t *testing.T) {
	path, file, dir := shell(t, "bash")
	if got := completed(t, dir, path, "--norc", "-c", `source "$1" && complete -p reversehttp`, "bash", file); got != "complete -F _reversehttp reversehttp" {
		t.Errorf("complete -p = %q", got)
	}
}

func TestFishCompletes(t *testing.T) {
	path, file, dir := shell(t, "fish")
	for typed, want := range map[string]string{
		"reversehttp f":              "forward",
		"reversehttp ":               "admin|callback|completion|conformance|echo|forward|gateway|inbox|inspect|mcp|replay|serve|up",
		"reversehttp --la":           "--label",
		"reversehttp --v":            "--verbose|--version",
		"reversehttp --label x fo":   "forward",
		"reversehttp -l forward ech": "echo",
		"reversehttp --label serve forward --upstream-in": "--upstream-insecure",
		"reversehttp forward --h":                         "--h2c|--help|--host-header",
		"reversehttp forward --host-header rew":           "rewrite",
		"reversehttp forward --host-header=rew":           "--host-header=rewrite",
		"reversehttp --transport p":                       "poll",
		"reversehttp serve pl":                            "plans/",
		"reversehttp forward pl":                          "",
		"reversehttp echo --ca pl":                        "plans/",
		"reversehttp inbox --st":                          "--status",
		"reversehttp gateway --log-f":                     "--log-format",
		"reversehttp completion ":                         "bash|fish|zsh",
	} {
		var got []string
		for line := range strings.Lines(completed(t, dir, path, "--no-config", "-c", `source $argv[1]; complete -C $argv[2]`, file, typed)) {
			word, _, _ := strings.Cut(line, "\t") // its description follows
			got = append(got, strings.TrimSpace(word))
		}
		slices.Sort(got)
		if strings.Join(got, "|") != want {
			t.Errorf("%q = %q, want %q", typed, got, want)
		}
	}
}

// zsh completes on a terminal only: this script gives it one, types each argument, a tab and a return, and
// prints the resulting command.
const typeInZsh = `zmodload zsh/zpty || exit
init=$2 script=$1
cat >$init <<END
PS1=; autoload -U compinit; compinit -D; source ${(q)script}
reversehttp() { print -r -- "<<\$*>>" }
print -r -- '[['ready']]'
END
zpty shell ${(q)0} -f -i
zpty -w shell "source ${(q)init}"
zpty -r -m shell out '*\[\[ready\]\]*'
shift 2
for typed; do
  zpty -w -n shell "$typed"$'\t\n'
  zpty -r -m shell out '*<<*>>*'
  print -r -- "${${out##*<<}%%>>*}"
done`

func TestZshCompletes(t *testing.T) {
	t.Parallel()
	path, file, dir := shell(t, "zsh")
	var typed, want []string
	for _, c := range [][2]string{
		{"f", "forward"},
		{"--la", "--label"},
		{"--vers", "--version"},
		{"--label x fo", "--label x forward"},
		{"-l forward ech", "-l forward echo"},
		{"--label serve forward --upstream-in", "--label serve forward --upstream-insecure"},
		{"forward --host", "forward --host-header"},
		{"forward --host-header rew", "forward --host-header rewrite"},
		{"forward --host-header=rew", "forward --host-header=rewrite"},
		{"--transport=po", "--transport=poll"},
		{"serve pl", "serve plans"},
		{"--ca pl", "--ca plans"},
		{"inbox --st", "inbox --status"},
		{"completion z", "completion zsh"},
	} {
		typed, want = append(typed, "reversehttp "+c[0]), append(want, c[1])
	}
	out := completed(t, dir, path, append([]string{"-f", "-c", typeInZsh, path, file, filepath.Join(t.TempDir(), "init")}, typed...)...)
	got := strings.Split(out, "\n")
	if len(got) != len(want) {
		t.Fatalf("%d lines, want %d: %s", len(got), len(want), out)
	}
	for i := range want {
		if strings.TrimSpace(got[i]) != want[i] {
			t.Errorf("%q became %q, want %q", typed[i], got[i], want[i])
		}
	}
}

func TestEveryScriptKnowsEveryCommandAndFlag(t *testing.T) {
	k, err := newParser(&options{}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, shell := range []string{"bash", "zsh", "fish"} {
		s := script(t, shell)
		for _, c := range k.Model.Children {
			for _, f := range flagsOf(c) {
				flag := "--" + f.Name
				if shell == "fish" {
					flag = "-l " + f.Name + " "
				}
				if !strings.Contains(s, c.Name) || !strings.Contains(s, flag) {
					t.Errorf("%s knows no %s %s", shell, c.Name, flag)
				}
			}
		}
	}
}
