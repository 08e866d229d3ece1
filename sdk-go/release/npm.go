package main

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// manifest is the package.json of the package reversehttp, with its members in no order.
type manifest map[string]any

// readManifest reads the package.json of the SDK.
func readManifest(root string) (manifest, error) {
	content, err := os.ReadFile(filepath.Join(root, "sdk-js", "package.json"))
	if err != nil {
		return nil, err
	}
	m := manifest{}
	return m, json.Unmarshal(content, &m)
}

func (m manifest) version() string {
	version, _ := m["version"].(string)
	return version
}

// npmNames maps the names of Go to those of npm where they differ.
var npmNames = map[string]string{"windows": "win32", "amd64": "x64"}

func npmName(name string) string {
	if other, ok := npmNames[name]; ok {
		return other
	}
	return name
}

// npmPackage returns the name of the npm package that has the command for a platform.
func (p platform) npmPackage() string {
	return "@reversehttp/" + npmName(p.os) + "-" + npmName(p.arch)
}

// tarballOf returns the file name that npm pack gives a package.
func tarballOf(name, version string) string {
	return strings.NewReplacer("@", "", "/", "-").Replace(name) + "-" + version + ".tgz"
}

// npmCommand returns the package that has the command for a platform. npm installs it where os and cpu match.
func npmCommand(root, version string, p platform, program []byte) ([]byte, error) {
	manifest, err := json.MarshalIndent(struct {
		Name        string   `json:"name"`
		Version     string   `json:"version"`
		Description string   `json:"description"`
		License     string   `json:"license"`
		OS          []string `json:"os"`
		CPU         []string `json:"cpu"`
		Files       []string `json:"files"`
		PreferOwn   bool     `json:"preferUnplugged"`
	}{
		p.npmPackage(), version, "The command reversehttp for " + p.String() + "; install reversehttp", "MIT",
		[]string{npmName(p.os)}, []string{npmName(p.arch)}, []string{"bin"}, true,
	}, "", "  ")
	if err != nil {
		return nil, err
	}
	license, err := os.ReadFile(filepath.Join(root, "LICENSE"))
	if err != nil {
		return nil, err
	}
	return tarball([]file{
		{"package/package.json", 0o644, append(manifest, '\n')},
		{"package/LICENSE", 0o644, license},
		{"package/bin/" + p.program(), 0o755, program},
	}, false)
}

// conformancePackage is the npm package of the conformance kit, and its command.
const conformancePackage = "reversehttp-conformance"

// npmConformance returns the package of the conformance kit: a script that runs the command of the package reversehttp.
func npmConformance(root, version string) ([]byte, error) {
	manifest, err := json.MarshalIndent(struct {
		Name         string            `json:"name"`
		Version      string            `json:"version"`
		Description  string            `json:"description"`
		License      string            `json:"license"`
		Type         string            `json:"type"`
		Engines      map[string]string `json:"engines"`
		Bin          map[string]string `json:"bin"`
		Files        []string          `json:"files"`
		Dependencies map[string]string `json:"dependencies"`
	}{
		conformancePackage, version, "Judges a ReverseHttp gateway, or a client, by the test vectors of the protocol", "MIT", "module",
		map[string]string{"node": ">=20"}, map[string]string{conformancePackage: "npx.js"}, []string{"npx.js"}, map[string]string{"reversehttp": version},
	}, "", "  ")
	if err != nil {
		return nil, err
	}
	files := []file{{"package/package.json", 0o644, append(manifest, '\n')}}
	for _, f := range []struct {
		from string
		mode int64
	}{{"LICENSE", 0o644}, {"schema/conformance/README.md", 0o644}, {"schema/conformance/npx.js", 0o755}} {
		content, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(f.from)))
		if err != nil {
			return nil, err
		}
		files = append(files, file{"package/" + path.Base(f.from), f.mode, content})
	}
	return tarball(files, false)
}

// npmSDK returns the package reversehttp: the SDK, and the script that starts the command. It names the packages of the
// platforms, which the package.json of the repository does not: npm ci would ask a registry for them, where they might be
// somebody else's.
func npmSDK(root string, m manifest) ([]byte, error) {
	dir := filepath.Join(root, "sdk-js")
	if _, err := os.Stat(filepath.Join(dir, "dist", "index.d.ts")); err != nil {
		return nil, fmt.Errorf("%w; build the SDK first: npm run build --workspace reversehttp", err)
	}
	optional := map[string]string{}
	for _, p := range platforms {
		optional[p.npmPackage()] = m.version()
	}
	m["optionalDependencies"] = optional
	delete(m, "scripts") // they build it
	delete(m, "devDependencies")
	content, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return nil, err
	}
	files := []file{{"package/package.json", 0o644, append(content, '\n')}}
	listed, _ := m["files"].([]any)
	for _, one := range listed {
		name, _ := one.(string)
		err := filepath.WalkDir(filepath.Join(dir, name), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			at, err := filepath.Rel(dir, path)
			mode := int64(0o644)
			if strings.HasPrefix(at, "bin") {
				mode = 0o755
			}
			files = append(files, file{"package/" + filepath.ToSlash(at), mode, content})
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	slices.SortFunc(files[1:], func(a, b file) int { return strings.Compare(a.name, b.name) })
	return tarball(files, false)
}
