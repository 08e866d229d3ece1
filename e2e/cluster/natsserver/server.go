package natsserver

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Server is a NATS server with JetStream on a port of this machine.
type Server struct {
	// Address is its host and port, which stay the same when it starts again.
	Address string

	binary, dir string
	name        string
	arguments   []string

	mu      sync.Mutex // guards what follows
	process *exec.Cmd  // nil if it does not run
	ended   chan struct{}
	output  *bytes.Buffer
}

// readyTime is how long a server may take to start.
const readyTime = time.Minute

// Start starts a server whose files are below a folder.
func Start(ctx context.Context, dir string) (*Server, error) {
	all, err := StartCluster(ctx, dir, 1)
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

// StartCluster starts n servers that replicate what they store. One server is not a cluster.
func StartCluster(ctx context.Context, dir string, n int) ([]*Server, error) {
	binary, err := Binary(ctx)
	if err != nil {
		return nil, err
	}
	for range 5 { // another program may take a port before a server does
		var all []*Server
		if all, err = startAll(ctx, binary, dir, n); err == nil {
			return all, nil
		}
	}
	return nil, err
}

func startAll(ctx context.Context, binary, dir string, n int) ([]*Server, error) {
	ports, err := FreePorts(2 * n)
	if err != nil {
		return nil, err
	}
	var routes []string
	for _, port := range ports[n:] {
		routes = append(routes, "nats://127.0.0.1:"+strconv.Itoa(port))
	}
	var all []*Server
	for i := range n {
		s := &Server{Address: "127.0.0.1:" + strconv.Itoa(ports[i]), binary: binary, name: fmt.Sprint("n", i+1)}
		s.dir = filepath.Join(dir, s.name)
		s.arguments = []string{"--js", "--store_dir", s.dir, "--addr", "127.0.0.1", "--port", strconv.Itoa(ports[i]), "--name", s.name}
		if n > 1 {
			s.arguments = append(s.arguments, "--cluster_name", "test", "--cluster", routes[i], "--routes", strings.Join(routes, ","))
		}
		all = append(all, s)
	}
	for _, s := range all {
		if err := s.Start(ctx); err != nil {
			for _, other := range all {
				other.Kill()
			}
			return nil, err
		}
	}
	return all, nil
}

// FreePorts returns ports on which nothing listens. They are outside the range from which the
// system takes ports for outgoing connections, so that none has one when a server starts again.
func FreePorts(n int) (ports []int, err error) {
	const first, last = 10_000, 32_000
	for range 1000 {
		l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(first+rand.IntN(last-first)))
		if err != nil {
			continue
		}
		defer func() { _ = l.Close() }() // when all are chosen, so that none is chosen twice
		if ports = append(ports, l.Addr().(*net.TCPAddr).Port); len(ports) == n {
			return ports, nil
		}
	}
	return nil, errors.New("natsserver: no free port")
}

// URL is where clients connect.
func (s *Server) URL() string { return "nats://" + s.Address }

// Start starts it again after Stop or Kill, and waits until it answers.
func (s *Server) Start(ctx context.Context) error {
	s.mu.Lock()
	process := exec.Command(s.binary, s.arguments...)
	s.output = &bytes.Buffer{}
	process.Stdout, process.Stderr = s.output, s.output
	if err := process.Start(); err != nil {
		s.mu.Unlock()
		return fmt.Errorf("natsserver: %w", err)
	}
	ended := make(chan struct{})
	s.process, s.ended = process, ended
	s.mu.Unlock()
	go func() {
		_ = process.Wait()
		close(ended)
	}()
	ctx, cancel := context.WithTimeout(ctx, readyTime)
	defer cancel()
	for !s.answers(ctx) {
		select {
		case <-ended:
			s.mu.Lock()
			defer s.mu.Unlock()
			return fmt.Errorf("natsserver: it ended: %s", s.output)
		case <-ctx.Done():
			s.Kill()
			return fmt.Errorf("natsserver: it does not answer: %w", ctx.Err())
		case <-time.After(10 * time.Millisecond):
		}
	}
	return nil
}

// answers reports whether it answers, with JetStream.
func (s *Server) answers(ctx context.Context) bool {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", s.Address)
	if err != nil {
		return false
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(readyTime))
	line, err := bufio.NewReader(conn).ReadString('\n')
	info, ok := strings.CutPrefix(line, "INFO ")
	var says struct {
		Name      string `json:"server_name"`
		JetStream bool   `json:"jetstream"`
	}
	return err == nil && ok && json.Unmarshal([]byte(info), &says) == nil && says.Name == s.name && says.JetStream
}

// Stop ends it as an operator does, and waits for that.
func (s *Server) Stop() { s.end(syscall.SIGTERM) }

// Kill ends it at once.
func (s *Server) Kill() { s.end(syscall.SIGKILL) }

// Pause stops it, with its connections open, until Resume.
func (s *Server) Pause() { s.signal(syscall.SIGSTOP) }

// Resume lets it go on after Pause.
func (s *Server) Resume() { s.signal(syscall.SIGCONT) }

// Lose deletes what it has stored. It must not be running.
func (s *Server) Lose() error { return os.RemoveAll(s.dir) }

// signal sends a signal, and returns a channel that is closed when the process has ended. It is nil
// if none runs.
func (s *Server) signal(sig os.Signal) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process == nil {
		return nil
	}
	_ = s.process.Process.Signal(sig)
	return s.ended
}

func (s *Server) end(sig os.Signal) {
	ended := s.signal(sig)
	if ended == nil {
		return
	}
	if sig != syscall.SIGKILL {
		s.signal(syscall.SIGCONT) // a paused process would not end
	}
	<-ended
	s.mu.Lock()
	defer s.mu.Unlock()
	s.process = nil
}

// ForTest starts n servers for a test, which end with it. Where they cannot be built the test is
// skipped, and fails if CI is set.
func ForTest(t testing.TB, n int) []*Server {
	t.Helper()
	if _, err := Binary(t.Context()); err != nil {
		if ci := os.Getenv("CI"); ci != "" && ci != "0" && ci != "false" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	all, err := StartCluster(t.Context(), t.TempDir(), n)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range all {
		t.Cleanup(s.Kill)
	}
	return all
}
