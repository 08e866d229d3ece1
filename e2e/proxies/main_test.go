package proxies

import (
	"fmt"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// patience is how long anything may take before a test gives up, and the gateway anybody: far
// longer than on a machine with much else to do.
const patience = 10 * time.Minute

// TestMain lets the test's binary be a program that serves a claim, too.
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
