// Command sbom writes what programs of Go are made of, as CycloneDX JSON:
//
//	go run ./e2e/sbom PROGRAM... > sbom.cdx.json
//
// The modules and the version of Go are those that the linker wrote into each
// program, not those of go.mod, which has the tools of this repository too.
package main

import (
	"cmp"
	"debug/buildinfo"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/CycloneDX/cyclonedx-go"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: sbom PROGRAM...")
		os.Exit(2)
	}
	bom, err := describe(os.Args[1:])
	if err == nil {
		err = cyclonedx.NewBOMEncoder(os.Stdout, cyclonedx.BOMFileFormatJSON).SetPretty(true).Encode(bom)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "sbom:", err)
		os.Exit(1)
	}
}

// describe lists the programs, what each depends on, and every module once.
func describe(programs []string) (*cyclonedx.BOM, error) {
	libraries := map[string]cyclonedx.Component{}
	var components []cyclonedx.Component
	var dependencies []cyclonedx.Dependency
	for _, file := range programs {
		info, err := buildinfo.ReadFile(file)
		if err != nil {
			return nil, err
		}
		ref := "program:" + filepath.Base(file)
		components = append(components, cyclonedx.Component{
			BOMRef: ref, Type: cyclonedx.ComponentTypeApplication,
			Name: filepath.Base(file), Version: info.Main.Version,
		})
		refs := []string{}
		for _, m := range modules(info) {
			c := library(m)
			libraries[c.BOMRef] = c
			refs = append(refs, c.BOMRef)
		}
		dependencies = append(dependencies, cyclonedx.Dependency{Ref: ref, Dependencies: &refs})
	}
	components = slices.AppendSeq(components, maps.Values(libraries))
	slices.SortFunc(components, func(a, b cyclonedx.Component) int { return cmp.Compare(a.BOMRef, b.BOMRef) })
	bom := cyclonedx.NewBOM()
	bom.Components, bom.Dependencies = &components, &dependencies
	return bom, nil
}

// modules are those that a program was linked from, and the standard library, which scanners know as stdlib.
func modules(info *buildinfo.BuildInfo) []*debug.Module {
	version, _, _ := strings.Cut(strings.TrimPrefix(info.GoVersion, "go"), " ")
	all := []*debug.Module{{Path: "stdlib", Version: "v" + version}}
	for _, m := range info.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		all = append(all, m)
	}
	return all
}

func library(m *debug.Module) cyclonedx.Component {
	purl := "pkg:golang/" + m.Path + "@" + m.Version
	return cyclonedx.Component{
		BOMRef: purl, Type: cyclonedx.ComponentTypeLibrary,
		Name: m.Path, Version: m.Version, PackageURL: purl,
	}
}
