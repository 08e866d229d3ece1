package sdkjs

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func bundled(t *testing.T) []Module {
	t.Helper()
	modules, err := Bundle()
	if err != nil {
		t.Fatal(err)
	}
	return modules
}

var (
	static  = regexp.MustCompile(`\bimport\b[^(.]`) // import.meta waits for nothing
	dynamic = regexp.MustCompile(`\bimport\("\./([^"]+)"\)`)
)

// A page waits for what is imported statically; the rest may come later, or not at all.
func TestNoModuleWaitsForAnother(t *testing.T) {
	modules := bundled(t)
	if !bytes.Contains(modules[0].JS, []byte("as serve")) {
		t.Errorf("%s exports no serve: %.200s", modules[0].Name, modules[0].JS)
	}
	for _, m := range modules {
		if at := static.FindIndex(m.JS); at != nil {
			t.Errorf("%s imports something: %.100s", m.Name, m.JS[at[0]:])
		}
	}
	var later []string
	for _, name := range dynamic.FindAllSubmatch(modules[0].JS, -1) {
		later = append(later, string(name[1]))
	}
	slices.Sort(later)
	if got := slices.Compact(later); !slices.Equal(got, Parts) {
		t.Errorf("%s imports %v while it runs, want %v", modules[0].Name, got, Parts)
	}
}

func TestEverySourceMapHasItsSources(t *testing.T) {
	for _, module := range bundled(t) {
		var m struct{ Sources, SourcesContent []string }
		if err := json.Unmarshal(module.SourceMap, &m); err != nil {
			t.Fatal(err)
		}
		if len(m.Sources) == 0 || len(m.Sources) != len(m.SourcesContent) {
			t.Errorf("%s: %d sources, %d with content, want as many and some", module.Name, len(m.Sources), len(m.SourcesContent))
		}
		for _, s := range m.Sources {
			if !strings.HasSuffix(s, ".ts") || strings.Contains(s, "..") {
				t.Errorf("%s: the map names the source %q, want a plain path to a .ts file", module.Name, s)
			}
		}
	}
}

// What others read keeps its name.
func TestNoInternalNameIsOneOfTheWireOrOfTheTypes(t *testing.T) {
	var outside []byte
	for _, name := range []string{"envelope", "error", "storage", "socket", "request", "options"} {
		source, err := sources.ReadFile("src/" + name + ".ts")
		if err != nil {
			t.Fatal(err)
		}
		for declared := range bytes.SplitSeq(source, []byte("\nexport interface ")) {
			members, _, _ := bytes.Cut(declared, []byte("\n}\n"))
			outside = append(outside, members...)
		}
	}
	for _, name := range internal {
		if regexp.MustCompile(`(?m)^ +(readonly |declare readonly )?` + name + `\??:`).Match(outside) {
			t.Errorf("%s is a member that others read", name)
		}
	}
}

// A page loads the first module before it can answer anything.
func TestFirstModuleIsAtMost8KiBCompressed(t *testing.T) {
	const most = 8 << 10
	for i, m := range bundled(t) {
		var n counter
		w, err := gzip.NewWriterLevel(&n, gzip.BestCompression)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(m.JS); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %d bytes, %d compressed", m.Name, len(m.JS), n)
		if i == 0 && n > most {
			t.Errorf("%s has %d bytes compressed, want at most %d", m.Name, n, most)
		}
	}
}

func TestBundleIsTheSameEveryTime(t *testing.T) {
	if !reflect.DeepEqual(bundled(t), bundled(t)) {
		t.Error("two bundles of the same sources differ")
	}
}

type counter int

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

var _ io.Writer = (*counter)(nil)
