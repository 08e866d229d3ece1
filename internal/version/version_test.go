package version

import (
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
)

func TestTheVersionSaysWhatIsKnown(t *testing.T) {
	revision := debug.BuildSetting{Key: "vcs.revision", Value: "8e5ce5a"}
	for want, info := range map[string]*debug.BuildInfo{
		"p v1.2.3 go1.26.8":                              {GoVersion: "go1.26.8", Main: debug.Module{Version: "v1.2.3"}},
		"p v1.2.3 (revision 8e5ce5a) go1.26.8":           {GoVersion: "go1.26.8", Main: debug.Module{Version: "v1.2.3"}, Settings: []debug.BuildSetting{revision, {Key: "vcs.modified", Value: "false"}}},
		"p (devel) (revision 8e5ce5a, changed) go1.26.8": {GoVersion: "go1.26.8", Settings: []debug.BuildSetting{revision, {Key: "vcs.modified", Value: "true"}}},
		"p (devel) (no revision: go run and go build -buildvcs=false leave it out) go1.26.8": {GoVersion: "go1.26.8", Main: debug.Module{Version: "(devel)"}},
	} {
		if got := of("p", info); got != want {
			t.Errorf("version = %q, want %q", got, want)
		}
	}
}

func TestTheVersionOfThisBuildNamesItsGo(t *testing.T) {
	if got := Of("p"); !strings.HasPrefix(got, "p ") || !strings.HasSuffix(got, " "+runtime.Version()) {
		t.Errorf("version = %q, want program and %s", got, runtime.Version())
	}
}
