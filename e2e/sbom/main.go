// Command sbom writes a bill of materials of Go programs, as CycloneDX JSON:
//
//	go run ./e2e/sbom PROGRAM... > sbom.cdx.json
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"reversehttp/sdk-go/release/sbom"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: sbom PROGRAM...")
		os.Exit(2)
	}
	if err := write(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "sbom:", err)
		os.Exit(1)
	}
}

func write(files []string) error {
	var programs []sbom.Program
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		programs = append(programs, sbom.Program{Name: filepath.Base(file), Content: content})
	}
	return sbom.Write(os.Stdout, programs)
}
