package proxies

import (
	"fmt"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// patience is how long anything may take before a test gives up, and before the gateway gives up a program or a
// visitor: far longer than on a busy machine.
const patience = 10 * time.Minute

// TestMain lets the test's binary also run as a program that serves a claim.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == roleProgram {
		if err := serveProgram(os.Args[2]); err != nil {
			fmt.Println("failed", err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"))
}
