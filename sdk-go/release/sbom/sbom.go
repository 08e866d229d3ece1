// Package sbom describes what programs of Go are made of, as a bill of materials in CycloneDX JSON.
//
// The modules and the version of Go are those that the linker wrote into each program, not those of go.mod, which has the tools
// of this repository too. A bill depends on the programs only: it has neither a time nor a serial number.
package sbom

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/CycloneDX/cyclonedx-go"
)

// Program is a program of Go.
type Program struct {
	// Name names it in the bill; no two programs have the same.
	Name string
	// Version is its version. Empty means that of its main module.
	Version string
	// PackageURL is where it is published. Empty means nowhere.
	PackageURL string
	// Content are its bytes.
	Content []byte
	// Embedded are the package URLs of libraries that are in it besides modules of Go. Nil means none.
	Embedded []string
}

// Write writes the bill of programs: each, what it depends on, and every library once.
func Write(w io.Writer, programs []Program) error {
	bom, err := describe(programs)
	if err != nil {
		return err
	}
	return cyclonedx.NewBOMEncoder(w, cyclonedx.BOMFileFormatJSON).SetPretty(true).Encode(bom)
}

func describe(programs []Program) (*cyclonedx.BOM, error) {
	libraries := map[string]cyclonedx.Component{}
	var components []cyclonedx.Component
	var dependencies []cyclonedx.Dependency
	for _, p := range programs {
		info, err := buildinfo.Read(bytes.NewReader(p.Content))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.Name, err)
		}
		sum := sha256.Sum256(p.Content)
		c := cyclonedx.Component{
			BOMRef: "program:" + p.Name, Type: cyclonedx.ComponentTypeApplication,
			Name: p.Name, Version: cmp.Or(p.Version, info.Main.Version), PackageURL: p.PackageURL,
			Hashes: &[]cyclonedx.Hash{{Algorithm: cyclonedx.HashAlgoSHA256, Value: hex.EncodeToString(sum[:])}},
		}
		components = append(components, c)
		refs := []string{}
		for _, url := range slices.Concat(modules(info), p.Embedded) {
			libraries[url] = library(url)
			refs = append(refs, url)
		}
		dependencies = append(dependencies, cyclonedx.Dependency{Ref: c.BOMRef, Dependencies: &refs})
	}
	components = slices.AppendSeq(components, maps.Values(libraries))
	slices.SortFunc(components, func(a, b cyclonedx.Component) int { return cmp.Compare(a.BOMRef, b.BOMRef) })
	bom := cyclonedx.NewBOM()
	bom.Components, bom.Dependencies = &components, &dependencies
	return bom, nil
}

// modules returns the package URLs of the modules that a program was linked from, and of the standard library, which scanners
// know as stdlib.
func modules(info *buildinfo.BuildInfo) []string {
	version, _, _ := strings.Cut(strings.TrimPrefix(info.GoVersion, "go"), " ")
	all := []*debug.Module{{Path: "stdlib", Version: "v" + version}}
	for _, m := range info.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		all = append(all, m)
	}
	urls := make([]string, len(all))
	for i, m := range all {
		urls[i] = "pkg:golang/" + m.Path + "@" + m.Version
	}
	return urls
}

// NPM returns the package URL of an npm package.
func NPM(name, version string) string {
	return "pkg:npm/" + strings.Replace(name, "@", "%40", 1) + "@" + version
}

// library returns the library with a package URL.
func library(url string) cyclonedx.Component {
	_, rest, _ := strings.Cut(url, "/")
	name, version, _ := strings.Cut(rest, "@")
	return cyclonedx.Component{
		BOMRef: url, Type: cyclonedx.ComponentTypeLibrary,
		Name: strings.Replace(name, "%40", "@", 1), Version: version, PackageURL: url,
	}
}
