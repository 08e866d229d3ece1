// Command release builds the packages of the command reversehttp, which includes the gateway: npm packages for each
// platform, Debian packages for Linux, the npm package of the SDK, which starts the command, and the one of the
// conformance kit. reversehttp-VERSION.cdx.json is the bill of materials of the programs.
//
//	npm run build --workspace reversehttp
//	go run ./sdk-go/release --out DIR
//
// The same source and the same version of Go produce the same bytes.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	out := flag.String("out", "", "directory to write to")
	list := flag.String("platforms", "", "platforms to build for, such as linux/amd64,darwin/arm64; all without the flag")
	flag.Parse()
	if err := release(*out, *list); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

// release writes everything for the platforms of a list to a directory.
func release(out, list string) error {
	if out == "" {
		return errors.New("give a directory with --out")
	}
	chosen, err := choose(list)
	if err != nil {
		return err
	}
	root, err := moduleRoot()
	if err != nil {
		return err
	}
	m, err := readManifest(root)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	// First the packages that need no compiler: a clone in which the SDK was not built ends here, not minutes later.
	packed, err := npmSDK(root, m)
	if err != nil {
		return err
	}
	if err := write(out, tarballOf("reversehttp", m.version()), packed); err != nil {
		return err
	}
	if packed, err = npmConformance(root, m.version()); err != nil {
		return err
	}
	if err := write(out, tarballOf(conformancePackage, m.version()), packed); err != nil {
		return err
	}
	said, err := textsHere(root, m.version())
	if err != nil {
		return err
	}
	built := map[platform][]byte{}
	for _, p := range chosen {
		program, err := programOf(root, m.version(), p)
		if err != nil {
			return err
		}
		built[p] = program
		packed, err := npmCommand(root, m.version(), p, program)
		if err != nil {
			return err
		}
		if err := write(out, tarballOf(p.npmPackage(), m.version()), packed); err != nil {
			return err
		}
		if p.os != "linux" {
			continue
		}
		files, err := installed(root, said, program)
		if err != nil {
			return err
		}
		if packed, err = deb(m.version(), p, files); err != nil {
			return err
		}
		if err := write(out, fmt.Sprintf("reversehttp_%s_%s.deb", m.version(), p.arch), packed); err != nil {
			return err
		}
	}
	parts, err := bill(root, m.version(), built)
	if err != nil {
		return err
	}
	return write(out, "reversehttp-"+m.version()+".cdx.json", parts)
}

// programOf builds the command for a platform and returns it.
func programOf(root, version string, p platform) ([]byte, error) {
	dir, err := os.MkdirTemp("", "reversehttp-release-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, p.program())
	if err := build(root, version, p, file); err != nil {
		return nil, err
	}
	return os.ReadFile(file)
}

// write writes a file and prints its name and size.
func write(dir, name string, content []byte) error {
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, content, 0o644); err != nil {
		return err
	}
	fmt.Printf("%s %d\n", path, len(content))
	return nil
}
