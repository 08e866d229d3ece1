package process

import (
	"fmt"
	"math"
	"os"
	"runtime/debug"
	"strconv"
	"strings"

	"github.com/KimMachineGun/automemlimit/memlimit"
	"github.com/alecthomas/kong"
	"github.com/dustin/go-humanize"
)

// size is a number of bytes, alone or with a unit, such as 268435456, 256MiB or 1GB.
type size uint64

// Decode reads a size for kong: a text, or a number of the --config file.
func (s *size) Decode(ctx *kong.DecodeContext) error {
	token, err := ctx.Scan.PopValue("size")
	if err != nil {
		return err
	}
	text := token.String()
	if n, ok := token.Value.(float64); ok {
		text = strconv.FormatFloat(n, 'f', -1, 64)
	}
	n, err := humanize.ParseBytes(text)
	if err != nil && strings.Contains(err.Error(), "too large") || n > math.MaxInt64 {
		return fmt.Errorf("%s is more than any machine has", text)
	}
	if err != nil {
		return fmt.Errorf("%q is not a number of bytes, such as 268435456 or 256MiB", text)
	}
	*s = size(n)
	return nil
}

const (
	// leastMemory is what the gateway needs to do anything, in bytes.
	leastMemory = 64 << 20
	// unknownMemory is what a machine is taken to have that does not say, in bytes.
	unknownMemory = 1 << 30
)

// memory returns how much memory the process may take, in bytes: what --memory says, or a
// quarter of what the machine has, or the cgroup where that allows less.
func (o *options) memory() int64 {
	if o.Memory != nil {
		return int64(*o.Memory)
	}
	has := uint64(unknownMemory)
	if n, err := memlimit.FromSystem(); err == nil {
		has = n
	}
	if n, err := memlimit.FromCgroup(); err == nil {
		has = min(has, n)
	}
	return max(int64(has/4), leastMemory)
}

// limitMemory has the garbage collector keep the process below so many bytes, unless
// GOMEMLIMIT says otherwise. A tenth is left for what the collector does not count.
func limitMemory(bytes int64) {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(bytes / 10 * 9)
	}
}

// ballastBytes is how large the ballast is.
const ballastBytes = 32 << 20

// ballast is a block that nobody writes to, so it takes no memory of the machine, but counts as live: the collector runs when the heap
// has doubled, and would do so every few milliseconds while little but garbage is on it. It is made before anything else, of pages
// that nobody wrote to.
var ballast = make([]byte, ballastBytes)

// dropBallast lets go of the ballast of a process that may take so few bytes that it matters.
func dropBallast(bytes int64) {
	if bytes < 8*ballastBytes {
		ballast = nil
	}
}
