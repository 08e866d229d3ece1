package fidelity

import (
	"context"
	"maps"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/webdav"

	reversehttp "reversehttp/sdk-go"
)

// litmusSuites are the suites of litmus, with the least number of tests in each.
var litmusSuites = map[string]int{"basic": 16, "copymove": 13, "props": 30, "locks": 41, "http": 4}

// summary is the key of litmus's last line in the results.
const summary = "summary"

// In the host shape litmus uses the gateway as its proxy, because Debian's resolver does not know *.localhost. So its
// targets are whole URLs, and Destination has the public URL. In the path shape it needs no proxy, and its targets are
// paths.
func TestWebDAVPassesAsManyTestsOfLitmus(t *testing.T) {
	t.Parallel()
	litmus, err := exec.LookPath("litmus")
	if err != nil {
		t.Skip("there is no litmus; run: sudo apt-get install -y litmus")
	}
	for shape, share := range map[string]func(*testing.T) (direct, through way){
		"host": func(t *testing.T) (direct, through way) { return twice(t, newWebDAV("")) },
		"path": func(t *testing.T) (direct, through way) { return twiceBelow(t, newWebDAV("/at/"+label)) },
	} {
		t.Run(shape, func(t *testing.T) {
			direct, through := share(t)
			for _, suite := range slices.Sorted(maps.Keys(litmusSuites)) {
				t.Run(suite, func(t *testing.T) {
					want, got := runLitmus(t, litmus, suite, direct), runLitmus(t, litmus, suite, through)
					compareLitmus(t, suite, got, want)
				})
			}
		})
	}
}

func compareLitmus(t *testing.T, suite string, got, want map[string]string) {
	for name, result := range want {
		if got[name] != result {
			t.Errorf("%s: %q, want %q", name, got[name], result)
		}
		if strings.HasPrefix(result, "FAIL") {
			t.Logf("without a gateway it fails too: %s: %s", name, result)
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			t.Errorf("%s: it ran only through the gateway", name)
		}
	}
	if tests := len(want) - 1; tests < litmusSuites[suite] {
		t.Errorf("%d tests ran, want %d at least", tests, litmusSuites[suite])
	}
	t.Attr("litmus", strings.TrimPrefix(got[summary], "<- "))
}

// newWebDAV serves a new tree of files in memory. sdk-go removes the path of the claim's URL from targets. This handler
// restores it, because WebDAV uses whole paths in its answers and in Destination.
func newWebDAV(prefix string) http.Handler {
	dav := func() http.Handler {
		return &webdav.Handler{Prefix: prefix, FileSystem: webdav.NewMemFS(), LockSystem: webdav.NewMemLS()}
	}
	direct, through := dav(), dav()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		base := reversehttp.RequestInfo(r.Context()).Base
		if base == "" {
			direct.ServeHTTP(w, r)
			return
		}
		if u, err := url.Parse(base); err == nil {
			r.URL.Path = strings.TrimSuffix(u.Path, "/") + r.URL.Path
		}
		through.ServeHTTP(w, r)
	})
}

// litmus prints the number and the name of a test, and then its result, which may take several lines. Names repeat, so
// the number is part of the key.
var (
	litmusTest    = regexp.MustCompile(`^ *(\d+\. \w+)\.* *(.*)$`)
	litmusGoingOn = regexp.MustCompile(`^ +\.+ (.+)$`)
	litmusSummary = regexp.MustCompile(`^<- summary for .*$`)
)

// runLitmus runs a suite and returns the result of each test by number and name.
func runLitmus(t *testing.T, litmus, suite string, w way) map[string]string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	args := []string{"--keep-going"}
	if !strings.HasPrefix(w.host, "localhost:") {
		args = append(args, "--proxy=http://"+w.addr+"/")
	}
	cmd := exec.CommandContext(ctx, litmus, append(args, w.url())...)
	cmd.Env = append(os.Environ(), "TESTS="+suite)
	cmd.Dir = t.TempDir() // it writes a log
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		t.Fatalf("%s: litmus did not end within ten minutes:\n%s", w.name, out)
	}
	results, last := map[string]string{}, ""
	for _, line := range strings.FieldsFunc(string(out), func(c rune) bool { return c == '\r' || c == '\n' }) {
		if m := litmusTest.FindStringSubmatch(line); m != nil {
			last = m[1]
			results[last] = m[2]
		} else if m := litmusGoingOn.FindStringSubmatch(line); m != nil && last != "" {
			results[last] += "; " + m[1]
		} else if litmusSummary.MatchString(line) {
			results[summary] = line
		}
	}
	if results[summary] == "" {
		t.Fatalf("%s: litmus printed no summary: %v\n%s", w.name, err, out)
	}
	return results
}
