package fidelity

import (
	"context"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"path/filepath"
	"reflect"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mccutchen/go-httpbin/v2/httpbin"
)

// forwarding are the fields that the gateway adds to requests (schema/README.md, 6), and which go-httpbin would echo.
var forwarding = []string{"Via", "Cdn-Loop", "Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"}

// unforwarded removes them, so that echoes must be the same byte for byte.
func unforwarded(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, name := range forwarding {
			delete(r.Header, name)
		}
		h.ServeHTTP(w, r)
	})
}

func newHTTPBin(options ...httpbin.OptionFunc) http.Handler {
	return httpbin.New(append(options, httpbin.WithEnv(map[string]string{"HTTPBIN_A": "b"}))...).Handler()
}

func TestEveryEndpointOfHTTPBinGivesTheSameVerdict(t *testing.T) {
	t.Parallel()
	direct, through := twice(t, unforwarded(newHTTPBin()))
	for _, r := range httpbinRows() {
		sameVerdict(t, direct, through, r)
	}
}

// This test checks the fields that unforwarded removes.
func TestTheGatewayAddsItsOwnFieldsOnly(t *testing.T) {
	var got http.Header
	_, through := twice(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { got = r.Header.Clone() }))
	through.visit(t, row{request: "GET /\nX-Sent: 1"})
	for _, name := range forwarding {
		if len(got[name]) != 1 {
			t.Errorf("field %s = %q, want one", name, got[name])
		}
		delete(got, name)
	}
	if want := (http.Header{"X-Sent": {"1"}}); !reflect.DeepEqual(got, want) {
		t.Errorf("fields = %q, want %q and those of the gateway", got, want)
	}
}

func TestTheRowsCoverEveryRouteOfHTTPBin(t *testing.T) {
	missing := map[string]bool{}
	mux := http.NewServeMux()
	for _, pattern := range httpbinPatterns(t) {
		missing[pattern] = true
		mux.HandleFunc(pattern, func(http.ResponseWriter, *http.Request) {})
	}
	if len(missing) < 60 {
		t.Fatalf("only %d routes were found in the source of the module", len(missing))
	}
	for _, r := range httpbinRows() {
		req, err := http.ReadRequest(newReader(r.raw("host")))
		if err != nil {
			t.Fatal(err)
		}
		_, pattern := mux.Handler(req)
		delete(missing, pattern)
	}
	for pattern, why := range httpbinExcepted {
		if !missing[pattern] {
			t.Errorf("%q is excepted (%s), but it has a row or is not a route", pattern, why)
		}
		delete(missing, pattern)
	}
	for pattern := range missing {
		t.Errorf("no row for %q", pattern)
	}
}

// httpbinPatterns reads the patterns of mux.HandleFunc from the source of the module, the only list of its routes.
func httpbinPatterns(t *testing.T) (patterns []string) {
	file, _ := runtime.FuncForPC(reflect.ValueOf(httpbin.New).Pointer()).FileLine(reflect.ValueOf(httpbin.New).Pointer())
	tree, err := parser.ParseFile(token.NewFileSet(), filepath.Join(filepath.Dir(file), "httpbin.go"), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(tree, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok || len(call.Args) != 2 {
			return true
		}
		name, ok := call.Fun.(*ast.SelectorExpr)
		if !ok || !strings.HasPrefix(name.Sel.Name, "Handle") {
			return true
		}
		if s, ok := call.Args[0].(*ast.BasicLit); ok && s.Kind == token.STRING {
			pattern, err := strconv.Unquote(s.Value)
			if err != nil {
				t.Fatal(err)
			}
			patterns = append(patterns, pattern)
		}
		return true
	})
	return patterns
}

// A visitor leaves after the first byte, or while they wait for it. Otherwise each handler would run for 9 s more.
func TestAVisitorWhoLeavesEndsTheHandler(t *testing.T) {
	began, ended := make(chan string, 1), make(chan httpbin.Result, 1)
	bin := newHTTPBin(httpbin.WithObserver(func(_ context.Context, r httpbin.Result) { ended <- r }))
	direct, through := twice(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began <- r.RequestURI
		bin.ServeHTTP(w, r)
	}))
	for _, c := range []struct {
		target, want string
		answers      bool // before the visitor leaves
	}{
		{"/delay/9", "499 /delay/{duration}", false}, // go-httpbin reports 499 when the context ended
		{"/drip?numbytes=2&duration=9s&delay=0", "200 /drip", true},
		{"/sse?count=2&duration=9s&delay=0", "200 /sse", true},
		{"/jsonl?count=2&duration=9s&delay=0", "200 /jsonl", true},
	} {
		for _, w := range []way{direct, through} {
			conn := w.dial(t)
			if _, err := conn.Write(row{request: "GET " + c.target}.raw(w.host)); err != nil {
				t.Fatal(err)
			}
			await(t, w.name+": the handler to begin "+c.target, began)
			if c.answers {
				readFirst(t, conn)
			}
			conn.Close()
			r := await(t, w.name+": the handler to end "+c.target, ended)
			if got := strconv.Itoa(r.Status) + " " + r.Route; got != c.want {
				t.Errorf("%s: %s: the handler ended with %s, want %s", w.name, c.target, got, c.want)
			}
		}
	}
}

// await returns the next value.
func await[T any](t testing.TB, what string, from <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-from:
	case <-time.After(patience):
		t.Fatalf("waited %v for %s", patience, what)
	}
	return v
}
