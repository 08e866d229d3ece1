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

// order lists the packages of the gateway: each imports only later ones.
var order = []string{
	"server", "server/deploy", "server/process", "server/acmetest", "server/acme", "server/cluster", "server/gateway", "server/family", "server/door", "server/policy", "server/visit", "server/control", "server/store", "server/cluster/engine", "server/admin", "server/strangers", "server/recording", "server/answer", "server/intake", "server/domain",
	"server/admission", "server/terms", "server/account", "server/problem", "server/trace", "server/quota", "server/audit", "server/field", "server/publicurl", "server/trust", "server/cluster/peer", "server/wire", "server/claim", "server/budget", "web", "sdk-js",
	"schema/envelope", "schema/secret", "schema/webhook", "schema",
}

// source is a Go file other than a test.
type source struct {
	at, dir, name string
	file          *ast.File
	lines         int
}

// sources reads the Go files below a folder, except tests.
func sources(t *testing.T, root string) (all []source) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Name() == "node_modules" {
			return fs.SkipDir
		}
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
	_, text, _ := strings.Cut(string(readme), "reports when this tree is out of date:")
	named, dir := map[string]bool{}, "server"
	line := regexp.MustCompile(`^    ( *)([a-z/]+)/ `)
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

// mostMethods is the most methods of a type, mostLines the most lines of a file, and mostOfClaim the most
// methods that the core exports.
const (
	mostMethods = 20
	mostLines   = 450
	mostOfClaim = 65
)

func TestAStructIsOneNoun(t *testing.T) {
	methods, ofClaim := map[string]int{}, 0
	for _, s := range sources(t, "..") {
		for _, d := range s.file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Recv == nil {
				continue
			}
			name := receiver(f.Recv.List[0].Type)
			methods[s.dir+"."+name]++
			if s.dir == "server/claim" && f.Name.IsExported() && ast.IsExported(name) {
				ofClaim++
			}
		}
	}
	for name, n := range methods {
		if n > mostMethods {
			t.Errorf("%s has %d methods, want %d at most", name, n, mostMethods)
		}
	}
	if methods["server/claim.Session"] == 0 || ofClaim > mostOfClaim {
		t.Errorf("server/claim exports %d methods, want %d at most", ofClaim, mostOfClaim)
	}
}

// receiver returns the name of the type of a method's receiver.
func receiver(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return receiver(e.X)
	case *ast.IndexExpr: // of a generic type
		return receiver(e.X)
	case *ast.IndexListExpr:
		return receiver(e.X)
	case *ast.Ident:
		return e.Name
	}
	return ""
}

// files calls each with every written file of the repository, by its path from the root.
func files(t *testing.T, each func(path, content string)) {
	t.Helper()
	n := 0
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "node_modules" || d.Name() == "dist" || len(d.Name()) > 2 && d.Name()[0] == '.'):
			return fs.SkipDir
		case !slices.Contains([]string{".go", ".ts", ".md"}, filepath.Ext(path)):
			return nil
		}
		content, err := os.ReadFile(path)
		if n++; err == nil {
			each(filepath.ToSlash(strings.TrimPrefix(path, ".."+string(filepath.Separator))), string(content))
		}
		return err
	})
	if err != nil || n < 300 {
		t.Fatalf("%d files, %v", n, err)
	}
}

func TestNoFileIsTooLong(t *testing.T) {
	files(t, func(path, content string) {
		first, _, _ := strings.Cut(content, "\n")
		test := strings.HasSuffix(path, "_test.go") || strings.HasSuffix(path, ".test.ts")
		if test || strings.HasSuffix(path, ".md") || strings.Contains(first, "enerated") {
			return
		}
		if n := strings.Count(content, "\n"); n > mostLines {
			t.Errorf("%s has %d lines, want %d at most", path, n, mostLines)
		}
	})
}

func TestFilesThatAReadmeNamesAreThere(t *testing.T) {
	named := regexp.MustCompile(`\b[A-Za-z0-9_./-]*/[A-Za-z0-9_-]+\.(go|ts)\b`)
	files(t, func(path, content string) {
		if filepath.Base(path) != "README.md" {
			return
		}
		for _, one := range named.FindAllString(content, -1) {
			if !slices.ContainsFunc([]string{"..", filepath.Join("..", filepath.Dir(path))}, func(dir string) bool {
				_, err := os.Stat(filepath.Join(dir, one))
				return err == nil
			}) {
				t.Errorf("%s names %s, which is not there", path, one)
			}
		}
	})
}
