package process

import (
	"fmt"
	"io"
	"os"
	"regexp"

	"github.com/alecthomas/kong"
	"github.com/go-json-experiment/json"
)

// config is a --config file: flags by name. The JSON reader of kong knows names with underscores
// only, and ignores unknown ones.
type config struct {
	path  string
	flags map[string]any
	// used are the flags whose value comes from the file.
	used map[string]bool
}

// comment matches a line that begins with //. It cannot be inside a string, since JSON strings do
// not span lines.
var comment = regexp.MustCompile(`(?m)^[ \t]*//.*$`)

// readConfig reads a --config file. Its error names the file.
func readConfig(r io.Reader) (*config, error) {
	c := &config{path: "--config", used: map[string]bool{}}
	if f, ok := r.(interface{ Name() string }); ok {
		c.path = "--config=" + f.Name()
	}
	content, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.path, err)
	}
	if err := json.Unmarshal(comment.ReplaceAllLiteral(content, nil), &c.flags); err != nil {
		return nil, fmt.Errorf("%s: not a JSON object: %w", c.path, err)
	}
	if c.flags == nil {
		return nil, fmt.Errorf("%s: not a JSON object: null", c.path)
	}
	return c, nil
}

// Validate returns an error for names that are not flags.
func (c *config) Validate(app *kong.Application) error {
	known := map[string]bool{}
	for _, f := range app.Flags {
		known[f.Name] = f.Name != "config" && f.Name != "help" && f.Name != "version" // these act as soon as they are parsed
	}
	for name := range c.flags {
		if !known[name] {
			return fmt.Errorf("%s: there is no flag %q", c.path, name)
		}
	}
	return nil
}

// Resolve returns the value of a flag, or nil. kong reads the environment before, which takes
// precedence.
func (c *config) Resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	for _, name := range flag.Envs {
		if _, set := os.LookupEnv(name); set {
			return nil, nil
		}
	}
	v := c.flags[flag.Name]
	if v != nil {
		c.used[flag.Name] = true
	}
	return v, nil
}

// named matches the flag that an error is about.
var named = regexp.MustCompile(`^--([a-z-]+)`)

// blame adds the file name to an error about a flag whose value comes from the file.
func (c *config) blame(err error) error {
	if err == nil || c == nil {
		return err
	}
	if m := named.FindStringSubmatch(err.Error()); m != nil && c.used[m[1]] {
		return fmt.Errorf("%s: %w", c.path, err)
	}
	return err
}
