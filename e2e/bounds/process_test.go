package bounds

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// process is this binary in a role. It ends with its standard input.
type process struct {
	t     *testing.T
	cmd   *exec.Cmd
	stdin io.Closer
	say   *json.Encoder
	hear  *bufio.Reader
	// at is the first line of its output: where it can be reached.
	at string
}

// start starts this binary in a role, which ends with the test.
func start(t *testing.T, role string, args ...string) *process {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, cmd: exec.Command(self, append([]string{role}, args...)...)}
	p.cmd.Stderr = os.Stderr
	stdin, err := p.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p.stdin, p.say, p.hear = stdin, json.NewEncoder(stdin), bufio.NewReader(stdout)
	t.Cleanup(p.kill)
	if p.at, err = p.hear.ReadString('\n'); err != nil {
		t.Fatalf("%s did not start: %v", role, err)
	}
	p.at = strings.TrimSpace(p.at)
	return p
}

// kill ends the process like a crash.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

// order is what a process has to do: one line of JSON.
type order struct {
	// Collect makes it collect garbage, and close idle connections.
	Collect bool `json:"collect"`
	// Read is how many bytes of content handlers may read; 0 leaves that unchanged, and negative means no
	// bound.
	Read int64 `json:"read"`
	// Fail makes the handler fail that waits for this.
	Fail bool `json:"fail"`
	// Busy makes one processor do all work from then on, with this many goroutines competing for it.
	Busy int `json:"busy"`
}

// tell sends an order and waits for the figures in the answer.
func (p *process) tell(o order) (f figures) {
	p.t.Helper()
	if err := p.say.Encode(o); err != nil {
		p.t.Fatal(err)
	}
	line, err := p.hear.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &f)
	}
	if err != nil {
		p.t.Fatalf("the process at %s ended: %v", p.at, err)
	}
	return f
}

// obey executes orders until there are no more. do adds to the figures.
func obey(do func(order, *figures)) error {
	in := json.NewDecoder(os.Stdin)
	out := json.NewEncoder(os.Stdout)
	for {
		var o order
		if err := in.Decode(&o); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		var f figures
		do(o, &f)
		if o.Collect {
			f.collect()
		}
		if err := out.Encode(f); err != nil {
			return err
		}
	}
}

// patience bounds how long a test waits for anything: far longer than it takes on a busy machine.
const patience = 10 * time.Minute

// await waits until a condition holds.
func await(t *testing.T, what string, so func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for last := time.Now().Add(patience); !so(); <-tick.C {
		if time.Now().After(last) {
			t.Fatal("not in time: " + what)
		}
	}
}

// awaitStill waits until a count no longer changes, since all buffers between the two ends are full.
func awaitStill(t *testing.T, what string, count func() int64) {
	t.Helper()
	before, since := int64(-1), time.Now()
	await(t, what+" stands still", func() bool {
		if n := count(); n != before {
			before, since = n, time.Now()
		}
		return time.Since(since) > 200*time.Millisecond
	})
}

// kib formats bytes for people.
func kib(n int64) string { return fmt.Sprintf("%d KiB", (n+512)/1024) }
