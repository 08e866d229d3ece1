package sdkjs

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"strings"
	"testing"
)

func TestBundleIsOneModuleThatExportsServe(t *testing.T) {
	js, sourceMap, err := Bundle()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(js, []byte("as serve")) {
		t.Errorf("the bundle exports no serve: %.200s", js)
	}
	if bytes.Contains(js, []byte("import ")) {
		t.Error("the bundle imports something")
	}
	var m struct{ Sources, SourcesContent []string }
	if err := json.Unmarshal(sourceMap, &m); err != nil {
		t.Fatal(err)
	}
	if len(m.Sources) == 0 || len(m.Sources) != len(m.SourcesContent) {
		t.Errorf("source map: %d sources, %d with content, want as many and some", len(m.Sources), len(m.SourcesContent))
	}
	for _, s := range m.Sources {
		if !strings.HasSuffix(s, ".ts") || strings.Contains(s, "..") {
			t.Errorf("source map names the source %q, want a plain path to a .ts file", s)
		}
	}
}

// A page loads the SDK before it can answer anything.
func TestBundleIsAtMost6KiBCompressed(t *testing.T) {
	const most = 6 << 10
	js, _, err := Bundle()
	if err != nil {
		t.Fatal(err)
	}
	var n counter
	w, err := gzip.NewWriterLevel(&n, gzip.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(js); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d bytes, %d compressed", len(js), n)
	if n > most {
		t.Errorf("the bundle has %d bytes compressed, want at most %d", n, most)
	}
}

func TestBundleIsTheSameEveryTime(t *testing.T) {
	first, _, err := Bundle()
	if err != nil {
		t.Fatal(err)
	}
	second, _, err := Bundle()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first, second) {
		t.Error("two bundles of the same sources differ")
	}
}

type counter int

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

var _ io.Writer = (*counter)(nil)
