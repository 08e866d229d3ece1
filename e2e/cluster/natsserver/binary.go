// Package natsserver runs NATS servers for tests and trials. It builds them once from the module in
// e2e/cluster/nats, so that the module of the gateway does not need their sources.
package natsserver

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/gofrs/flock"
)

// module returns the folder of the module of the server. It asks for the folder of this project, since
// programs may be built without the paths of their sources.
func module(ctx context.Context) (string, error) {
	project, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "reversehttp").Output()
	if err != nil {
		return "", fmt.Errorf("find the module of the NATS server: %w", err)
	}
	return filepath.Join(strings.TrimSpace(string(project)), "e2e", "cluster", "nats"), nil
}

// Binary returns the path of the server. It builds the server if the user's cache has none of this
// version, which takes up to a minute.
func Binary(ctx context.Context) (string, error) {
	caches, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	module, err := module(ctx)
	if err != nil {
		return "", err
	}
	of := sha256.New()
	for _, name := range []string{"go.mod", "go.sum"} {
		content, err := os.ReadFile(filepath.Join(module, name))
		if err != nil {
			return "", err
		}
		_, _ = of.Write(content)
	}
	_, _ = of.Write([]byte(runtime.Version()))
	dir := filepath.Join(caches, "reversehttp")
	path := filepath.Join(dir, "nats-server-"+hex.EncodeToString(of.Sum(nil))[:16])
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	lock := flock.New(path + ".lock")
	if err := lock.Lock(); err != nil {
		return "", err
	}
	defer func() { _ = lock.Unlock() }()
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return path, err
	}
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", path+".new", "github.com/nats-io/nats-server/v2")
	build.Dir = module
	build.Env = append(os.Environ(), "GOFLAGS=", "GOWORK=off", "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("cannot build nats-server: %w\n%s", err, output)
	}
	return path, os.Rename(path+".new", path)
}
