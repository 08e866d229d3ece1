package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// script returns what the command completion prints.
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
		"reversehttp ":                             "--help|completion|echo|forward|inbox|serve",
		"reversehttp f":                            "forward",
		"reversehttp forward --h":                  "--help|--host-header",
		"reversehttp forward --host-header ":       "preserve|rewrite",
		"reversehttp forward --host-header = rew":  "rewrite",
		"reversehttp forward --host-header = ":     "preserve|rewrite",
		"reversehttp forward 3000 --l":             "--label|--lease",
		"reversehttp --label serve forward --inse": "--insecure",
		"reversehttp forward --label ":             "",
		"reversehttp echo --transport p":           "poll|ptth",
		"reversehttp serve p":                      "photos of mine|plans",
		"reversehttp serve --d":                    "--dot-files|--drain",
		"reversehttp inbox --st":                   "--status",
		"reversehttp completion ":                  "bash|fish|zsh",
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

func TestTheScriptsLoadInTheShellsThatAreHere(t *testing.T) {
	for shell, code := range map[string]string{
		"bash": `source "$1" && complete -p reversehttp`,
		"zsh":  `autoload -U compinit && compinit -D && source "$1" && [[ $_comps[reversehttp] = _reversehttp ]]`,
		"fish": `source $argv[1]; and test (complete -C 'reversehttp forw') = (printf 'forward\tPut a local server on a public URL')`,
	} {
		path, err := exec.LookPath(shell)
		if err != nil {
			// No skip: bash is checked here in any case, and the suite installs no shells for this.
			t.Attr("notChecked", "there is no "+shell+" here")
			continue
		}
		file := filepath.Join(t.TempDir(), "script")
		if err := os.WriteFile(file, []byte(script(t, shell)), 0o644); err != nil {
			t.Fatal(err)
		}
		args := []string{"-c", code, shell, file}
		if shell == "fish" {
			args = []string{"-c", code, file}
		}
		if out, err := exec.Command(path, args...).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", shell, err, out)
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
