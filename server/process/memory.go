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

// size is a number of bytes, with or without a unit, such as 268435456, 256MiB or 1GB.
type size uint64

// Decode implements [kong.MapperValue]. It parses text, or a number in the --config file.
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
	// leastMemory is the least memory with which the gateway can work, in bytes.
	leastMemory = 64 << 20
	// unknownMemory is the assumed memory of a machine that does not report it, in bytes.
	unknownMemory = 1 << 30
)

// memory returns how much memory the process may take, in bytes: the value of --memory, or a
// quarter of the memory of the machine, or of its cgroup if that has less.
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

// limitMemory sets the memory limit of the garbage collector, unless GOMEMLIMIT does. It leaves a
// tenth of bytes for what the collector does not count.
func limitMemory(bytes int64) {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(bytes / 10 * 9)
	}
}

// ballastBytes is the size of the ballast.
const ballastBytes = 32 << 20

// ballast is a block that is never written to, so it takes no physical memory, but counts as live
// heap. The collector runs when the heap has doubled; with a small live heap it would run every few
// milliseconds. ballast is allocated first, so that its pages have never been written.
var ballast = make([]byte, ballastBytes)

// dropBallast releases the ballast if the process may take so few bytes that the ballast matters.
func dropBallast(bytes int64) {
	if bytes < 8*ballastBytes {
		ballast = nil
	}
}
