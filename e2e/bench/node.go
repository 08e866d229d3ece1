package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
)

// node serves a claim with sdk-js in Node.
func (t *testbed) node(ctx context.Context, node string) (string, *process, error) {
	dir, err := os.MkdirTemp(t.dir, "node")
	if err != nil {
		return "", nil, err
	}
	write := func(name string, b []byte, err error) error {
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(dir, name), b, 0o600)
	}
	for _, name := range []string{"handler.js", "node.js"} {
		b, err := pageFiles.ReadFile(name)
		if err := write(name, b, err); err != nil {
			return "", nil, err
		}
	}
	for _, name := range []string{"sdk.js", "stream.js", "page.js", "websocket.js"} {
		b, err := download("http://" + t.control + "/" + name)
		if err := write(name, b, err); err != nil {
			return "", nil, err
		}
	}
	if err := write("package.json", []byte(`{"type":"module"}`), nil); err != nil {
		return "", nil, err
	}
	p, err := start(ctx, nodeWay, node, filepath.Join(dir, "node.js"), "http://"+t.control)
	if err != nil {
		return "", nil, err
	}
	t.keep(p)
	return p.said[0], p, nil
}

func download(from string) ([]byte, error) {
	resp, err := http.Get(from)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != 200 {
		err = fmt.Errorf("GET %s: status %d", from, resp.StatusCode)
	}
	return b, err
}
