package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// process is a program that the bench started. It ends with the bench, which
// holds the other end of its standard input.
type process struct {
	name  string
	cmd   *exec.Cmd
	stdin io.Closer
	// said are the words of the first line on its standard output.
	said []string
}

// start starts a program and waits for its first line.
func start(ctx context.Context, name, path string, args ...string) (*process, error) {
	cmd := exec.CommandContext(ctx, path, args...)
	var faults bytes.Buffer
	cmd.Stderr = &faults
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	p := &process{name: name, cmd: cmd, stdin: stdin}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		p.stop()
		return nil, fmt.Errorf("start %s: it ended: %s", name, bytes.TrimSpace(faults.Bytes()))
	}
	p.said = strings.Fields(line)
	return p, nil
}

// again starts this program in another role.
func again(ctx context.Context, role string, args ...string) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return start(ctx, role, self, append([]string{role}, args...)...)
}

// stop ends the process and waits for its end.
func (p *process) stop() {
	_ = p.stdin.Close()
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

// bereft waits until the process that started this one has ended.
func bereft() { _, _ = io.Copy(io.Discard, os.Stdin) }

// buildGateway builds ./server. The caller calls remove when it is done.
func buildGateway(ctx context.Context) (path string, remove func(), err error) {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return "", nil, err
	}
	remove = func() { _ = os.RemoveAll(dir) }
	path = filepath.Join(dir, "gateway")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", path, "reversehttp/server").CombinedOutput(); err != nil {
		remove()
		return "", nil, fmt.Errorf("build the gateway: %w: %s", err, bytes.TrimSpace(out))
	}
	return path, remove, nil
}

// startGateway starts a gateway with its bounds on rates lifted, and gives the
// address of its control origin.
func startGateway(ctx context.Context, path string, flags ...string) (p *process, address string, err error) {
	args := append([]string{"--listen=127.0.0.1:0", "--log-level=warn", "--claims-per-second=-1", "--visits-per-second=-1"}, flags...)
	p, err = start(ctx, "gateway", path, args...)
	if err != nil {
		return nil, "", err
	}
	for _, word := range p.said {
		if rest, ok := strings.CutPrefix(word, "http://localhost:"); ok {
			return p, "127.0.0.1:" + strings.TrimSuffix(rest, "/"), nil
		}
	}
	p.stop()
	return nil, "", fmt.Errorf("start gateway: no address in %q", p.said)
}

// What Linux counts CPU time in for programs: USER_HZ, 100 on every architecture that Go runs on.
const tick = 10 * time.Millisecond

var errNoProc = errors.New("CPU time of a process is read from /proc, which is not there; run the bench on Linux")

// cpu is the CPU time, of user and system, that the process has taken.
func (p *process) cpu() (time.Duration, error) {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(p.cmd.Process.Pid) + "/stat")
	if os.IsNotExist(err) {
		return 0, errNoProc
	}
	if err != nil {
		return 0, err
	}
	// The name, in parentheses, may hold spaces. utime and stime are fields 14 and 15 of the line.
	f := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(f) < 13 {
		return 0, fmt.Errorf("/proc stat of %s: %q", p.name, stat)
	}
	user, err := strconv.ParseInt(f[11], 10, 64)
	if err != nil {
		return 0, err
	}
	system, err := strconv.ParseInt(f[12], 10, 64)
	return time.Duration(user+system) * tick, err
}
