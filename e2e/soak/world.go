package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// world has the processes of a run.
type world struct {
	dir      string
	gateway  *process
	origin   string   // of the gateway
	steady   *process // serves with sdk-go from start to end
	node     *process // with sdk-js
	fragile  *process // with sdk-go; traffic alone kills and restarts it
	client   *http.Client
	nodePath string
}

// The labels of the programs.
const (
	steadyLabel, nodeLabel, fragileLabel = "steady", "node", "fragile"
	fragileToken                         = "the-token-of-a-program-that-is-killed"
)

func newWorld(ctx context.Context) (w *world, err error) {
	w = &world{}
	defer func() {
		if err != nil {
			w.close()
		}
	}()
	if w.dir, err = os.MkdirTemp("", "soak"); err != nil {
		return w, err
	}
	if w.nodePath, err = exec.LookPath("node"); err != nil {
		return w, err
	}
	binary := filepath.Join(w.dir, "gateway")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", binary, "reversehttp/server").CombinedOutput(); err != nil {
		return w, fmt.Errorf("build the gateway: %w: %s", err, out)
	}
	if w.gateway, err = start("gateway", binary, "--listen=127.0.0.1:0", "--log-level=error", "--claims-per-second=-1"); err != nil {
		return w, err
	}
	address, err := w.address()
	if err != nil {
		return w, err
	}
	w.origin = "http://" + address
	dial := func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}
	w.client = &http.Client{Transport: &http.Transport{DialContext: dial, MaxIdleConnsPerHost: 64, IdleConnTimeout: 5 * time.Second}}
	if w.steady, err = w.startProgram(steadyLabel, ""); err != nil {
		return w, err
	}
	if w.fragile, err = w.startProgram(fragileLabel, fragileToken); err != nil {
		return w, err
	}
	w.node, err = w.startNode()
	return w, err
}

// address finds the address of the gateway in its first line.
func (w *world) address() (string, error) {
	for word := range strings.FieldsSeq(w.gateway.said) {
		if rest, ok := strings.CutPrefix(word, "http://localhost:"); ok {
			return "127.0.0.1:" + strings.TrimSuffix(rest, "/"), nil
		}
	}
	return "", fmt.Errorf("start gateway: no address in %q", w.gateway.said)
}

func (w *world) startProgram(label, token string) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return start(label, self, roleProgram, w.origin, label, token)
}

// startNode starts the program in Node, with the SDK that the gateway serves.
func (w *world) startNode() (*process, error) {
	resp, err := w.client.Get(w.origin + "/sdk.js")
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	sdk, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	for name, content := range map[string][]byte{"sdk.mjs": sdk, "program.mjs": nodeProgram} {
		if err := os.WriteFile(filepath.Join(w.dir, name), content, 0o600); err != nil {
			return nil, err
		}
	}
	return start(nodeLabel, w.nodePath, "--expose-gc", filepath.Join(w.dir, "program.mjs"), w.origin, nodeLabel)
}

// sample returns the figures of each process that runs from start to end.
func (w *world) sample() (row [3]figures, err error) {
	for i, p := range []*process{w.gateway, w.steady, w.node} {
		if err := p.fromProc(&row[i]); err != nil {
			return row, err
		}
	}
	if err := w.fromMetrics(&row[0]); err != nil {
		return row, err
	}
	for i, p := range []*process{w.steady, w.node} {
		if err := p.ask(&row[i+1]); err != nil {
			return row, err
		}
	}
	return row, nil
}

// close ends all processes and removes their files.
func (w *world) close() {
	for _, p := range []*process{w.fragile, w.node, w.steady, w.gateway} {
		if p != nil {
			p.kill()
		}
	}
	if w.client != nil {
		w.client.CloseIdleConnections()
	}
	if w.dir != "" {
		_ = os.RemoveAll(w.dir)
	}
}
