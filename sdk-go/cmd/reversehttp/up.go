package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"regexp"
	"slices"
	"sync"
	"time"

	"github.com/alecthomas/kong"
	"github.com/go-json-experiment/json"
)

const (
	// The most commands of a file.
	upMost = 32
	// The most bytes of a file.
	upBytesMost = 1 << 20
)

// up runs several commands listed in a file until one of them ends.
type up struct {
	Names []string `arg:"" optional:"" help:"Names of the commands to run. Default: all."`
	File  string   `default:"reversehttp.json" placeholder:"FILE" help:"JSON file that lists the commands. Default: reversehttp.json."`
}

// upComment is a line that begins with //, as in the gateway's --config.
var upComment = regexp.MustCompile(`(?m)^[ \t]*//.*$`)

// upName is what a command of the file may be called.
var upName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$`)

// serves are the commands that a file may list.
var serves = []string{"forward", "serve", "echo", "inbox"}

// upSecrets are the flags whose values nobody else should read.
var upSecrets = []string{"token", "key", "basic-auth", "webhook"}

// read returns the arguments of each command to run, by its name in the file. It notes a file with secrets that others
// can read.
func (u *up) read(gateway string, note func(string)) (map[string][]string, error) {
	f, err := os.Open(u.File)
	if err != nil {
		return nil, fmt.Errorf("--file=%s: %w; it lists what to run, such as {\"up\":{\"web\":{\"forward\":\"3000\"}}}", printable(u.File), err)
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, upBytesMost+1))
	if err == nil && len(content) > upBytesMost {
		err = fmt.Errorf("more than %d bytes", upBytesMost)
	}
	var file map[string]any // what to run is in up; the others are flags of all of that
	if err == nil {
		err = json.Unmarshal(upComment.ReplaceAllLiteral(content, nil), &file)
	}
	if err != nil {
		return nil, fmt.Errorf("--file=%s: %w", printable(u.File), err)
	}
	listed, _ := file["up"].(map[string]any)
	if info, err := f.Stat(); err == nil && info.Mode().IsRegular() && othersMay(info) && hasSecret(file, listed) {
		note(fmt.Sprintf("others can read %s, which has a secret: chmod 600 it", printable(u.File)))
	}
	for _, name := range u.Names {
		if listed[name] == nil {
			return nil, fmt.Errorf("--file=%s lists no %s", printable(u.File), printable(name))
		}
	}
	if len(listed) == 0 || len(listed) > upMost {
		return nil, fmt.Errorf("--file=%s lists %d commands in up; give 1 to %d", printable(u.File), len(listed), upMost)
	}
	delete(file, "up")
	if gateway != "" {
		delete(file, "gateway")
	}
	all := map[string][]string{}
	for name, command := range listed {
		if len(u.Names) > 0 && !slices.Contains(u.Names, name) {
			continue
		}
		if !upName.MatchString(name) {
			return nil, fmt.Errorf("--file=%s: the name %q: give 1 to 32 letters, digits and ._-", printable(u.File), printable(name))
		}
		members, _ := command.(map[string]any)
		args, err := argumentsOf(members, file)
		if err != nil {
			return nil, fmt.Errorf("--file=%s: %s: %w", printable(u.File), name, err)
		}
		if gateway != "" {
			args = append(args, "--gateway="+gateway)
		}
		all[name] = args
	}
	return all, nil
}

// hasSecret reports whether a secret is among the flags of all commands, or of one.
func hasSecret(common, listed map[string]any) bool {
	for _, name := range upSecrets {
		if common[name] != nil {
			return true
		}
		for _, command := range listed {
			if members, _ := command.(map[string]any); members[name] != nil {
				return true
			}
		}
	}
	return false
}

// argumentsOf converts a command of the file to arguments: the member named after the command holds its argument, and
// every other member is a flag.
func argumentsOf(members, common map[string]any) ([]string, error) {
	var args []string
	for _, command := range serves {
		value, named := members[command]
		if !named {
			continue
		}
		if args != nil {
			return nil, fmt.Errorf("%s and %s: give one command", args[0], command)
		}
		args = []string{command}
		switch v := value.(type) {
		case string:
			if v != "" {
				args = append(args, v)
			}
		case float64:
			args = append(args, fmt.Sprint(v))
		default:
			return nil, fmt.Errorf("%s: give its argument as a string", command)
		}
	}
	if args == nil {
		return nil, fmt.Errorf("give one of %v", serves)
	}
	flags := maps.Clone(common)
	if flags == nil {
		flags = map[string]any{}
	}
	maps.Copy(flags, members)
	for _, name := range slices.Sorted(maps.Keys(flags)) {
		if slices.Contains(serves, name) {
			continue
		}
		values, many := flags[name].([]any)
		if !many {
			values = []any{flags[name]}
		}
		for _, value := range values {
			switch value.(type) {
			case string, float64, bool:
				args = append(args, fmt.Sprintf("--%s=%v", name, value))
			default:
				return nil, fmt.Errorf("%s: give a string, a number, true, false, or a list of those", printable(name))
			}
		}
	}
	return args, nil
}

// given returns the gateway named in the arguments of up, if any. All other flags belong in the file.
func given(parsed *kong.Context) (gateway string, err error) {
	for _, at := range parsed.Path {
		if at.Flag == nil {
			continue
		}
		switch name := at.Flag.Name; name {
		case "gateway":
			gateway = fmt.Sprint(at.Flag.Target.Interface())
		case "file", "json", "verbose":
		default:
			return "", fmt.Errorf("--%s: up has its flags in the file; give it there", name)
		}
	}
	return gateway, nil
}

// runAll runs the commands of a file until a signal, or until one of them ends, and then ends the others gently. It returns
// the exit code of the first that failed.
func (o *options) runAll(u *up, parsed *kong.Context, signals <-chan os.Signal, stdout, stderr io.Writer) int {
	gateway, err := given(parsed)
	var all map[string][]string
	if err == nil {
		all, err = u.read(gateway, notes(stderr))
	}
	out := &reported{out: stdout, broken: make(chan struct{})}
	shared := &turns{out: out}
	g := &together{stop: make(chan struct{}), cut: make(chan struct{})}
	width := 0
	for name := range all {
		width = max(width, len(name))
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if err != nil {
			break
		}
		var s *serving
		if s, err = o.prepare(name, width, all[name], stdout, shared, stderr); err != nil {
			err = fmt.Errorf("--file=%s: %s: %w", printable(u.File), name, err)
			break
		}
		s.stop, s.cut = g.stop, g.cut
		g.all = append(g.all, s)
	}
	if err != nil {
		fmt.Fprintf(stderr, "reversehttp: %s; --help lists commands and flags\n", printable(err.Error()))
		return exitUsage
	}
	if f := g.run(signals, out.broken); f != nil {
		fmt.Fprintf(stderr, "reversehttp: %s\n", f)
		return f.code
	}
	return exitDone
}

// prepare parses the arguments of a command of the file.
func (o *options) prepare(name string, width int, args []string, stdout io.Writer, out, stderr io.Writer) (_ *serving, err error) {
	own := &options{}
	k, err := newParser(own, io.Discard, io.Discard)
	if err != nil {
		return nil, err
	}
	defer func() {
		if _, ended := recover().(exited); ended { // --help, as a member
			err = errors.New("give flags of a command that serves")
		}
	}()
	parsed, err := k.Parse(args)
	if err == nil {
		err = own.check()
	}
	note := func(text string) { fmt.Fprintf(stderr, "reversehttp: %s: %s\n", name, text) }
	if err == nil {
		err = own.secrets(note)
	}
	if err != nil {
		return nil, err
	}
	s := &serving{options: own, command: parsed.Selected().Target.Addr().Interface().(command), note: note, online: make(chan struct{}, 1)}
	own.Verbose = own.Verbose || o.Verbose
	s.log = own.log(stderr).With("name", name)
	if o.JSON || !isTerminal(stdout) {
		v := newJSONView(out)
		v.name = name
		s.view = v
	} else {
		s.view = &lines{out: out, name: fmt.Sprintf("%-*s", width, name), colours: wantsColours()}
	}
	return s, nil
}

// together runs commands that end together.
type together struct {
	all       []*serving
	stop, cut chan struct{}
	once      sync.Once
}

func (g *together) end() { g.once.Do(func() { close(g.stop) }) }

func (g *together) run(signals <-chan os.Signal, broken <-chan struct{}) *failure {
	ended := make(chan *failure, 1)
	go func() {
		var running sync.WaitGroup
		var mu sync.Mutex // guards first
		var first *failure
		for _, s := range g.all {
			running.Go(func() {
				defer g.end()
				f := s.run(s.command)
				mu.Lock()
				defer mu.Unlock()
				if f != nil && first == nil {
					first = f
				}
			})
		}
		running.Wait()
		ended <- first
	}()
	select {
	case f := <-ended:
		return f
	case <-g.stop:
	case <-signals:
	case <-broken:
	}
	g.end()
	select {
	case f := <-ended:
		return f
	case <-signals:
	}
	close(g.cut)
	select {
	case f := <-ended:
		return f
	case <-time.After(goodbyeTimeout):
		return errCut
	}
}

// turns serializes the writes of several writers.
type turns struct {
	mu  sync.Mutex
	out io.Writer
}

func (t *turns) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.out.Write(p)
}
