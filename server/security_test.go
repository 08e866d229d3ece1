package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A row of SECURITY.md is only as good as its test: each row names one, which must exist.
func TestEveryThreatHasATestThatIsThere(t *testing.T) {
	text, err := os.ReadFile("SECURITY.md")
	if err != nil {
		t.Fatal(err)
	}
	there := map[string]bool{} // tests by folder and name, such as "gateway TestA"
	for root, at := range map[string]string{".": "", "../web": "web", "../schema": "schema", "../sdk-go": "sdk-go", "../e2e/abuse": "e2e/abuse"} {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
				return err
			}
			content, err := os.ReadFile(path)
			rest, _ := filepath.Rel(root, filepath.Dir(path))
			dir := filepath.ToSlash(filepath.Join(at, rest))
			if dir == "." {
				dir = "server"
			}
			for _, m := range regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`).FindAllStringSubmatch(string(content), -1) {
				there[dir+" "+m[1]] = true
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	rows := 0
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(strings.TrimSpace(line), " | ")
		if len(cells) != 3 || strings.HasPrefix(line, "| threat") || strings.HasPrefix(line, "| ---") {
			continue
		}
		rows++
		tests, dir := 0, ""
		for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cells[2], -1) {
			name := m[1]
			switch {
			case strings.HasSuffix(name, ".js"):
				if _, err := os.Stat("../" + name); err != nil {
					t.Errorf("%s is not there", name)
				}
				tests++
			case strings.HasPrefix(name, "Test") || strings.HasPrefix(name, "Fuzz"):
				if !there[dir+" "+name] {
					t.Errorf("there is no %s in %s", name, dir)
				}
				tests++
			default:
				dir = name
			}
		}
		if tests == 0 {
			t.Errorf("no test in %q", line)
		}
	}
	if rows < 10 {
		t.Errorf("%d rows", rows)
	}
}
