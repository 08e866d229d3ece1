package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// order is that of the packages of the gateway: each imports only those behind it.
var order = []string{
	"server", "server/gateway", "server/family", "server/door", "server/visit", "server/control", "server/store", "server/terms", "server/answer", "server/intake",
	"server/admission", "server/problem", "server/field", "server/publicurl", "server/trust", "server/wire", "server/claim", "web", "sdk-js",
	"schema/envelope", "schema",
}

// source is a Go file that is no test.
type source struct {
	at, dir, name string
	file          *ast.File
	lines         int
}

// sources reads the Go files below a folder that are no tests.
func sources(t *testing.T, root string) (all []source) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, content, 0)
		if err != nil {
			return err
		}
		at := filepath.ToSlash(filepath.Join("server", path))
		all = append(all, source{at, filepath.ToSlash(filepath.Dir(at)), filepath.Base(at), f, strings.Count(string(content), "\n")})
		return nil
	})
	if err != nil || len(all) < 30 {
		t.Fatalf("%d files, %v", len(all), err)
	}
	return all
}

func TestImportsPointOneWay(t *testing.T) {
	for _, s := range sources(t, ".") {
		from := slices.Index(order, s.dir)
		if from < 0 {
			t.Errorf("%s is in no package of the order", s.at)
		}
		for _, i := range s.file.Imports {
			path, _ := strconv.Unquote(i.Path.Value)
			own, ok := strings.CutPrefix(path, "reversehttp/")
			if to := slices.Index(order, own); ok && to <= from {
				t.Errorf("%s imports %s, which is before it in the order, or not in it", s.at, own)
			}
		}
	}
}

func TestTheFileTreeOfTheReadmeIsUpToDate(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(readme), "says when this tree is out of date:")
	named, dir := map[string]bool{}, "server"
	line := regexp.MustCompile(`^    ( *)([a-z]+)/ `)
	for l := range strings.Lines(text) {
		if l != "\n" && !strings.HasPrefix(l, "    ") {
			break
		}
		if m := line.FindStringSubmatch(l); m != nil {
			dir = "server/" + m[2]
			continue
		}
		for _, f := range regexp.MustCompile(`[a-z0-9]+\.go`).FindAllString(l, -1) {
			named[dir+"/"+f] = true
		}
	}
	for _, s := range sources(t, ".") {
		if !named[s.dir+"/"+s.name] {
			t.Errorf("%s is not in the tree", s.at)
		}
		delete(named, s.dir+"/"+s.name)
	}
	for f := range named {
		t.Errorf("the tree has %s, which is not there", f)
	}
}
