// Package bounds checks the product's promises about memory, about the time until a handler knows that its
// visitor left, and about answers that fail midway.
//
// The test's binary starts itself again as the gateway and as a program that serves with sdk-go, so that each
// has its own heap, and asks them to collect garbage and report what is left. The kernel's socket buffers are
// not counted: the kernel bounds them.
package bounds

import (
	"fmt"
	"os"
	"testing"
)

// roles are the roles of the test's binary, by the first argument.
var roles = map[string]func(args []string) error{"as-gateway": beGateway, "as-program": beProgram}

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && roles[os.Args[1]] != nil {
		if err := roles[os.Args[1]](os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, os.Args[1]+":", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}
