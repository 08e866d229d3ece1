// Run checks the histories in files: go run ./e2e/cluster/check/run FILE…
package main

import (
	"fmt"
	"io"
	"os"

	"reversehttp/e2e/cluster/check"
)

func main() {
	var all []io.Reader
	for _, path := range os.Args[1:] {
		f, err := os.Open(path)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
		defer func() { _ = f.Close() }()
		all = append(all, f)
	}
	events, err := check.Read(all...)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	found := check.Check(events)
	for _, v := range found {
		fmt.Println(v)
	}
	fmt.Printf("%d events, %d violations\n", len(events), len(found))
	if len(found) > 0 || len(events) == 0 {
		os.Exit(1)
	}
}
