// Package version tells which build of a program this is.
package version

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
)

// Of says in one line which version of a program this is, and by which Go it was built.
func Of(program string) string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = &debug.BuildInfo{GoVersion: runtime.Version()}
	}
	return of(program, info)
}

func of(program string, info *debug.BuildInfo) string {
	version, revision, changed := info.Main.Version, "", ""
	if version == "" {
		version = "(devel)"
	}
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			revision = s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			changed = ", changed"
		}
	}
	switch {
	case revision != "":
		version += " (revision " + revision + changed + ")"
	case strings.Contains(version, "devel"):
		version += " (no revision: go run and go build -buildvcs=false leave it out)"
	}
	return fmt.Sprintf("%s %s %s", program, version, info.GoVersion)
}
