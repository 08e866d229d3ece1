// Command pack writes the SDK's modules and their source maps to sdk-js/dist, for npm and for tests in
// Node. It bundles as the gateway does, so that both give out the same modules.
package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	sdkjs "reversehttp/sdk-js"
)

func main() {
	if err := pack(); err != nil {
		fmt.Fprintln(os.Stderr, "pack:", err)
		os.Exit(1)
	}
}

func pack() error {
	modules, err := sdkjs.Bundle()
	if err != nil {
		return err
	}
	root, err := moduleRoot()
	if err != nil {
		return err
	}
	dist := filepath.Join(root, "sdk-js", "dist")
	if err := os.MkdirAll(dist, 0o755); err != nil {
		return err
	}
	// The first module is written last: it shows that all are there.
	for _, m := range slices.Backward(modules) {
		js := fmt.Appendf(m.JS, "//# sourceMappingURL=%s.map\n", m.Name)
		if err := write(filepath.Join(dist, m.Name+".map"), m.SourceMap); err != nil {
			return err
		}
		if err := write(filepath.Join(dist, m.Name), js); err != nil {
			return err
		}
	}
	return nil
}

// write replaces a file whole, so that a test that imports it beside us never sees half of it.
func write(name string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), ".pack-*")
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	err = errors.Join(err, f.Chmod(0o644), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// moduleRoot is the nearest directory upwards with a go.mod: npm runs scripts in sdk-js, people in the root.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		_, err := os.Stat(filepath.Join(dir, "go.mod"))
		if err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir || !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("no go.mod above the working directory: %w", err)
		}
		dir = parent
	}
}
