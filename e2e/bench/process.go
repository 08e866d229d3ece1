package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// process is a program that the bench started. Roles of the bench and programs in Node end with the bench, even if it
// is killed, because it holds the other end of their standard input.
type process struct {
	name  string
	cmd   *exec.Cmd
	stdin io.Closer
	// said are the words of the first line on its standard output.
	said []string
	// metrics is the URL with its count of allocations; empty if it has none.
	metrics string
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
	lines := bufio.NewReader(stdout)
	line, err := lines.ReadString('\n')
	if err != nil {
		p.stop()
		return nil, fmt.Errorf("start %s: it ended: %s", name, bytes.TrimSpace(faults.Bytes()))
	}
	// A program that prints every exchange would block without a reader.
	go func() { _, _ = io.Copy(io.Discard, lines) }()
	p.said = strings.Fields(line)
	return p, nil
}

// again starts this program in a role.
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

// bereft waits for the end of the process that started this one.
func bereft() { _, _ = io.Copy(io.Discard, os.Stdin) }

// USER_HZ, the unit of CPU time in /proc, is 100 on every architecture that Go supports.
const tick = 10 * time.Millisecond

var errNoProc = errors.New("CPU time of a process is read from /proc, which is not there; run the bench on Linux")

// cpu returns the CPU time of the process, user and system.
func (p *process) cpu() (time.Duration, error) {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(p.cmd.Process.Pid) + "/stat")
	if os.IsNotExist(err) {
		return 0, errNoProc
	}
	if err != nil {
		return 0, err
	}
	// The name, in parentheses, may contain spaces. utime and stime are fields 14 and 15 of the line.
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

// mallocsMetric is the count of allocations among the metrics of a program in Go.
const mallocsMetric = "go_memstats_mallocs_total"

// mallocs returns how many objects the process has allocated, or 0 if it has no metrics.
func (p *process) mallocs() (float64, error) {
	if p.metrics == "" {
		return 0, nil
	}
	resp, err := http.Get(p.metrics)
	if err != nil {
		return 0, err
	}
	defer func() { _ = resp.Body.Close() }()
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		if value, ok := strings.CutPrefix(lines.Text(), mallocsMetric+" "); ok {
			_, _ = io.Copy(io.Discard, resp.Body) // so that the connection can be used again
			return strconv.ParseFloat(value, 64)
		}
	}
	return 0, errors.Join(lines.Err(), fmt.Errorf("%s has no %s", p.metrics, mallocsMetric))
}
