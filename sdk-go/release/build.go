package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// platform is an operating system and an architecture, as Go calls them.
type platform struct{ os, arch string }

// platforms lists what the command is built for.
var platforms = []platform{
	{"linux", "amd64"}, {"linux", "arm64"},
	{"darwin", "amd64"}, {"darwin", "arm64"},
	{"windows", "amd64"}, {"windows", "arm64"},
}

func (p platform) String() string { return p.os + "/" + p.arch }

// program returns the file name of the command.
func (p platform) program() string {
	if p.os == "windows" {
		return "reversehttp.exe"
	}
	return "reversehttp"
}

// choose returns the platforms that a list such as linux/amd64,darwin/arm64 names; an empty one names all.
func choose(list string) ([]platform, error) {
	if list == "" {
		return platforms, nil
	}
	var chosen []platform
next:
	for name := range strings.SplitSeq(list, ",") {
		for _, p := range platforms {
			if p.String() == name {
				chosen = append(chosen, p)
				continue next
			}
		}
		return nil, fmt.Errorf("no platform %s; there are %v", name, platforms)
	}
	return chosen, nil
}

// commandPath is the import path of the command.
const commandPath = "reversehttp/sdk-go/cmd/reversehttp"

// build builds the command of the module at root for a platform. The same source and the same version of Go produce the
// same bytes wherever root is: they contain no path, time, revision or setting of this machine.
func build(root, version string, p platform, file string) error {
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false",
		"-ldflags", "-s -w -X reversehttp/server/process.Release="+version, "-o", file, commandPath)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+p.os, "GOARCH="+p.arch, "GOAMD64=v1", "GOARM64=v8.0", "GOFLAGS=", "GOEXPERIMENT=")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build for %s: %w\n%s", p, err, out)
	}
	return nil
}

// moduleRoot returns the nearest directory upwards with a go.mod.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("no go.mod above the working directory")
		}
		dir = parent
	}
}
