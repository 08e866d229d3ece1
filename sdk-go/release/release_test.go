package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/go/packages"
)

func rootOf(t *testing.T) string {
	t.Helper()
	root, err := moduleRoot()
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// here is the platform of this machine.
var here = platform{runtime.GOOS, runtime.GOARCH}

// elsewhere returns a copy of the repository's build inputs in another directory.
func elsewhere(t *testing.T, root string) string {
	t.Helper()
	to := t.TempDir()
	list := exec.Command("git", "ls-files", "-co", "--exclude-standard", "-z", "go.mod", "go.sum", "LICENSE", "schema", "sdk-go", "sdk-js", "server", "web")
	list.Dir = root
	names, err := list.Output()
	if err != nil {
		t.Skipf("there is no git here that lists the files of the repository: %v", err)
	}
	for name := range strings.SplitSeq(strings.TrimSuffix(string(names), "\x00"), "\x00") {
		content, err := os.ReadFile(filepath.Join(root, name))
		if os.IsNotExist(err) {
			continue // deleted, and not yet committed
		}
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(to, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return to
}

func TestTheSameSourceMakesTheSameBytesAnywhere(t *testing.T) {
	root := rootOf(t)
	copied := elsewhere(t, root)
	var packed, bills [][]byte
	for _, dir := range []string{root, copied} {
		program, err := programOf(dir, "1.2.3", here)
		if err != nil {
			t.Fatal(err)
		}
		if len(program) < 1<<20 {
			t.Fatalf("the program has %d bytes", len(program))
		}
		if bytes.Contains(program, []byte(root+"/")) || bytes.Contains(program, []byte(copied)) {
			t.Errorf("the program names the directory that it was built in, %s", dir)
		}
		one, err := npmCommand(dir, "1.2.3", here, program)
		if err != nil {
			t.Fatal(err)
		}
		packed = append(packed, one)
		parts, err := bill(dir, "1.2.3", map[platform][]byte{here: program})
		if err != nil {
			t.Fatal(err)
		}
		bills = append(bills, parts)
	}
	if !bytes.Equal(packed[0], packed[1]) {
		t.Error("the package of the same source differs, built in another directory")
	}
	if !bytes.Equal(bills[0], bills[1]) {
		t.Error("the bill of materials of the same source differs, made in another directory")
	}
	for _, part := range []string{
		`"pkg:npm/%40reversehttp/` + npmName(here.os) + "-" + npmName(here.arch) + `@1.2.3"`, `"pkg:golang/github.com/go-chi/chi/v5@v`, `"pkg:golang/stdlib@v`,
		`"pkg:npm/%40modelcontextprotocol/server@`, `"SHA-256"`,
	} {
		if !bytes.Contains(bills[0], []byte(part)) {
			t.Errorf("the bill of materials has no %s:\n%.2000s", part, bills[0])
		}
	}
	for _, other := range []string{"timestamp", "serialNumber", "honnef.co"} {
		if bytes.Contains(bills[0], []byte(other)) {
			t.Errorf("the bill of materials has %s", other)
		}
	}
}

// The type checker reports what a platform lacks, in the command and in all its imports, without compiling.
// The other platforms use the same files as this one, since all are Unix systems. The release compiles for each.
func TestTheCommandIsValidForWindows(t *testing.T) {
	loaded, err := packages.Load(&packages.Config{
		Mode: packages.LoadAllSyntax,
		Dir:  rootOf(t),
		Env:  append(os.Environ(), "CGO_ENABLED=0", "GOOS=windows", "GOARCH=amd64"),
	}, commandPath)
	if err != nil {
		t.Fatal(err)
	}
	ours := 0
	packages.Visit(loaded, nil, func(p *packages.Package) {
		for _, e := range p.Errors {
			t.Error(e)
		}
		if strings.HasPrefix(p.PkgPath, "reversehttp/") && len(p.Syntax) > 0 {
			ours++
		}
	})
	if ours < 10 {
		t.Errorf("%d packages of this module were checked", ours)
	}
}

// unpacked returns the files of an archive by name, and their headers.
func unpacked(t *testing.T, packed []byte) (map[string]string, []*tar.Header) {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	files, r := map[string]string{}, tar.NewReader(z)
	var headers []*tar.Header
	for {
		h, err := r.Next()
		if err == io.EOF {
			return files, headers
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		files[h.Name], headers = string(content), append(headers, h)
	}
}

func TestAPackageOfAPlatformIsInstalledThereOnly(t *testing.T) {
	packed, err := npmCommand(rootOf(t), "1.2.3", platform{"windows", "amd64"}, []byte("program"))
	if err != nil {
		t.Fatal(err)
	}
	files, headers := unpacked(t, packed)
	var m struct {
		Name, Version string
		OS, CPU       []string
	}
	if err := json.Unmarshal([]byte(files["package/package.json"]), &m); err != nil {
		t.Fatal(err)
	}
	if m.Name != "@reversehttp/win32-x64" || m.Version != "1.2.3" || !slices.Equal(m.OS, []string{"win32"}) || !slices.Equal(m.CPU, []string{"x64"}) {
		t.Errorf("package.json = %+v", m)
	}
	if files["package/bin/reversehttp.exe"] != "program" || files["package/LICENSE"] == "" {
		t.Errorf("files = %v", headers)
	}
	for _, h := range headers {
		if !h.ModTime.Equal(built) || h.Uid != 0 || h.Uname != "" {
			t.Errorf("%s is of %s, user %d %q; want the same in every build", h.Name, h.ModTime, h.Uid, h.Uname)
		}
		if want := int64(0o644); !strings.HasPrefix(h.Name, "package/bin/") && h.Mode != want {
			t.Errorf("%s has the mode %o, want %o", h.Name, h.Mode, want)
		}
	}
}

func TestPlatformsAreChosenByName(t *testing.T) {
	got, err := choose("linux/arm64,windows/amd64")
	if err != nil || !slices.Equal(got, []platform{{"linux", "arm64"}, {"windows", "amd64"}}) {
		t.Errorf("platforms = %v, %v", got, err)
	}
	if _, err := choose("linux/arm64,plan9/arm"); err == nil || !strings.Contains(err.Error(), "plan9/arm") {
		t.Errorf("error = %v, want one that names the platform", err)
	}
	if got, err := choose(""); err != nil || len(got) != 6 {
		t.Errorf("all platforms = %v, %v", got, err)
	}
}
