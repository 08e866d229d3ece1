package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/alecthomas/kong"
)

// config is a --config file: flags by name. kong's own reader of JSON knows
// them with underscores only, and passes over what it does not know.
type config struct {
	path  string
	flags map[string]any
}

// readConfig reads a --config file. Its error names the file.
func readConfig(r io.Reader) (kong.Resolver, error) {
	c := &config{path: "--config"}
	if f, ok := r.(interface{ Name() string }); ok {
		c.path = "--config=" + f.Name()
	}
	if err := json.NewDecoder(r).Decode(&c.flags); err != nil {
		return nil, fmt.Errorf("%s: not a JSON object: %w", c.path, err)
	}
	return c, nil
}

// Validate refuses names that are no flags.
func (c *config) Validate(app *kong.Application) error {
	known := map[string]bool{}
	for _, f := range app.Flags {
		known[f.Name] = true
	}
	for name := range c.flags {
		if !known[name] {
			return fmt.Errorf("%s: there is no flag %q", c.path, name)
		}
	}
	return nil
}

// Resolve gives the value of a flag, or nil. The environment weighs more, which
// kong reads before.
func (c *config) Resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	for _, name := range flag.Envs {
		if _, set := os.LookupEnv(name); set {
			return nil, nil
		}
	}
	return c.flags[flag.Name], nil
}
