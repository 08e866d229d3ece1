package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"strings"
)

// process is a program that the soak started. It ends with its standard input, and answers each line there with its
// figures as a line of JSON.
type process struct {
	name  string
	cmd   *exec.Cmd
	stdin io.WriteCloser
	hear  *bufio.Reader
	said  string // its first line
}

// start starts a program and waits for its first line.
func start(name, path string, args ...string) (*process, error) {
	p := &process{name: name, cmd: exec.Command(path, args...)}
	var faults strings.Builder
	p.cmd.Stderr = &faults
	var err error
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	p.hear = bufio.NewReader(stdout)
	if p.said, err = p.hear.ReadString('\n'); err != nil {
		p.kill()
		return nil, fmt.Errorf("start %s: it ended: %s", name, faults.String())
	}
	return p, nil
}

// ask asks the process for the figures that it alone has.
func (p *process) ask(f *figures) error {
	if _, err := io.WriteString(p.stdin, "figures\n"); err != nil {
		return fmt.Errorf("%s: %w", p.name, err)
	}
	line, err := p.hear.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, f)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", p.name, err)
	}
	return nil
}

// kill ends the process like a crash.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

// end lets the process end by itself, and waits for that.
func (p *process) end() {
	_ = p.stdin.Close()
	_ = p.cmd.Wait()
}
