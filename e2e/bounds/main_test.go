// Package bounds holds the product to what it promises of memory, of the time
// until a handler knows that its visitor left, and of answers that fail midway.
//
// The test's binary starts itself again as the gateway and as a program that
// serves with sdk-go, so that each has a heap of its own, and asks them to
// collect their garbage and tell what is left. What the kernel holds in the
// buffers of sockets is not counted: it is bounded by the kernel.
package bounds

import (
	"fmt"
	"os"
	"testing"
)

// roles are what the test's binary can be, by the first argument.
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
