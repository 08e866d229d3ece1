// Package cluster runs several gateways of the built binary as one, with a NATS server and a
// balancer without affinity, for tests and for trying it.
package cluster

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"reversehttp/e2e/cluster/cable"
	"reversehttp/e2e/cluster/natsserver"
)

// Nodes are gateways that are one.
type Nodes struct {
	NATS     *natsserver.Server
	All      []*Node
	Balancer *cable.Cable // to any node

	relay  *http.Server // before the balancer; nil if nothing is
	listen string       // where visitors and programs connect
}

// Options say how nodes are started.
type Options struct {
	// Dir is a folder for the binary, logs and what NATS stores.
	Dir string
	// Count is the number of nodes.
	Count int
	// Listen is the address of the balancer. Empty means a free port of this machine.
	Listen string
	// EachRequest has each request of a connection go to another node, by a proxy of HTTP before the
	// balancer. Otherwise all of them go to one, byte for byte.
	EachRequest bool
	// NATS is the server to use, which outlives the nodes. Nil means that one is started.
	NATS *natsserver.Server
	// Replicas are further servers, which replicate what NATS stores and outlive the nodes too. Nil means none.
	Replicas []*natsserver.Server
	// Flags are given to every node. Nil means none.
	Flags []string
	// Binary is the gateway. Empty means the one that GATEWAY_BINARY names, or that it is built.
	Binary string
	// Stderr is where nodes log. Nil means in a file of Dir each.
	Stderr *os.File
	// Cables puts a cable before everything that a node has with NATS and with the nodes that connect
	// to it, so that it can be cut off.
	Cables bool
}

// Build builds the gateway.
func Build(ctx context.Context, binary string) error {
	build := exec.CommandContext(ctx, "go", "build", "-o", binary, "reversehttp/server")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return fmt.Errorf("build the gateway: %w", err)
	}
	return nil
}

// Start starts everything. The caller calls Close.
func Start(ctx context.Context, o Options) (_ *Nodes, err error) {
	c := &Nodes{NATS: o.NATS}
	defer func() {
		if err != nil {
			c.Close()
		}
	}()
	if o.Binary == "" {
		o.Binary = os.Getenv("GATEWAY_BINARY")
	}
	if o.Binary == "" {
		o.Binary = filepath.Join(o.Dir, "gateway")
		if err := Build(ctx, o.Binary); err != nil {
			return nil, err
		}
	}
	if c.NATS == nil {
		if c.NATS, err = natsserver.Start(ctx, o.Dir); err != nil {
			return nil, err
		}
	}
	ports, err := natsserver.FreePorts(2*o.Count + 1)
	if err != nil {
		return nil, err
	}
	if o.Listen == "" {
		o.Listen = "127.0.0.1:" + strconv.Itoa(ports[2*o.Count])
	}
	_, port, err := net.SplitHostPort(o.Listen)
	if err != nil {
		return nil, err
	}
	for i := range o.Count {
		name := fmt.Sprintf("node%d", i+1)
		n := &Node{
			Name: name, Address: "127.0.0.1:" + strconv.Itoa(ports[i]), binary: o.Binary, log: filepath.Join(o.Dir, name+".log"), stderr: o.Stderr,
		}
		c.All = append(c.All, n)
		n.args = append([]string{"--listen", n.Address, "--public-url", "http://{label}.localhost:" + port + "/", "--node", name}, o.Flags...)
		engine := c.NATS.URL()
		for _, s := range o.Replicas {
			engine += "," + s.URL()
		}
		if o.Cables {
			peers := "127.0.0.1:" + strconv.Itoa(ports[o.Count+i])
			if n.ToNATS, err = cable.New(c.NATS.Address); err != nil {
				return nil, err
			}
			if n.FromPeers, err = cable.New(peers); err != nil {
				return nil, err
			}
			engine = "nats://" + n.ToNATS.Address()
			n.args = append(n.args, "--peer-listen", peers, "--peer-address", n.FromPeers.Address())
		}
		n.args = append(n.args, "--cluster", engine)
		if err := n.Start(ctx); err != nil {
			return nil, err
		}
	}
	c.listen = o.Listen
	if !o.EachRequest {
		c.Balancer, err = balance(o.Listen, c.All)
		return c, err
	}
	l, err := net.Listen("tcp", o.Listen)
	if err != nil {
		return nil, err
	}
	if c.Balancer, err = balance("127.0.0.1:0", c.All); err != nil {
		_ = l.Close()
		return nil, err
	}
	c.relay = relay(l, c.Balancer.Address())
	return c, nil
}

// Close ends everything.
func (c *Nodes) Close() {
	if c.relay != nil {
		_ = c.relay.Close()
	}
	if c.Balancer != nil {
		c.Balancer.Close()
	}
	for _, n := range c.All {
		n.Kill()
		for _, of := range []*cable.Cable{n.ToNATS, n.FromPeers} {
			if of != nil {
				of.Close()
			}
		}
	}
	if c.NATS != nil {
		c.NATS.Kill()
	}
}

// URL returns the control origin.
func (c *Nodes) URL() string { return "http://localhost:" + c.port() }

// URLOf returns the public URL of a label.
func (c *Nodes) URLOf(label string) string { return "http://" + label + ".localhost:" + c.port() + "/" }

func (c *Nodes) port() string {
	_, port, _ := net.SplitHostPort(c.listen)
	return port
}

// Node is a gateway.
type Node struct {
	Name string
	// Address is where it takes requests.
	Address string
	// ToNATS leads to the NATS server, and FromPeers from the other nodes to this one; nil without
	// Options.Cables.
	ToNATS, FromPeers *cable.Cable

	binary, log string
	stderr      *os.File // in place of log; nil if nothing is
	args        []string

	mu      sync.Mutex // guards below
	process *exec.Cmd  // nil unless it runs
	ended   chan struct{}
}

// startTime bounds how long a node may take until it is ready.
const startTime = time.Minute

// Start starts the node, and waits until it is ready.
func (n *Node) Start(ctx context.Context) error {
	log, err := os.OpenFile(n.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	process := exec.Command(n.binary, n.args...)
	process.Stdout, process.Stderr = log, cmp.Or(n.stderr, log)
	if err := process.Start(); err != nil {
		return err
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = process.Wait()
	}()
	n.mu.Lock()
	n.process, n.ended = process, ended
	n.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	for !n.Ready(ctx) {
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ended:
			return fmt.Errorf("%s ended: %s", n.Name, n.Log())
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %s", n.Name, n.Log())
		}
	}
	return nil
}

// Ready reports whether the node says that it is ready.
func (n *Node) Ready(ctx context.Context) bool { return n.Readiness(ctx) == http.StatusNoContent }

// Readiness returns the status of its /readyz; 0 if there is no response.
func (n *Node) Readiness(ctx context.Context) int {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+n.Address+"/readyz", nil)
	if err != nil {
		return 0
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 3 * time.Second}
	resp, err := client.Do(r)
	if err != nil {
		return 0
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

// Log returns the end of what the node wrote.
func (n *Node) Log() string {
	content, _ := os.ReadFile(n.log)
	return string(bytes.TrimSpace(content[max(len(content)-2_000, 0):]))
}

// Metric returns the value of a metric without labels, or of the first line that begins with name.
func (n *Node) Metric(name string) (float64, error) {
	resp, err := http.Get("http://" + n.Address + "/metrics")
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	content, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err
	}
	for line := range bytes.Lines(content) {
		if rest, is := bytes.CutPrefix(line, []byte(name)); is {
			fields := bytes.Fields(rest)
			return strconv.ParseFloat(string(fields[len(fields)-1]), 64)
		}
	}
	return 0, errors.New("no metric " + name)
}

// Kill ends the node at once. It may be called again.
func (n *Node) Kill() { n.end(syscall.SIGKILL) }

// Stop ends the node as an operator does.
func (n *Node) Stop() { n.end(syscall.SIGTERM) }

// Leave begins what Stop does, and returns a channel that is closed once the node has ended.
func (n *Node) Leave() (ended <-chan struct{}) { return n.signal(syscall.SIGTERM) }

// Pause stops the process, with its connections open, until Resume.
func (n *Node) Pause() { n.signal(syscall.SIGSTOP) }

// Resume lets the process go on.
func (n *Node) Resume() { n.signal(syscall.SIGCONT) }

func (n *Node) signal(s os.Signal) (ended <-chan struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.process == nil {
		return nil
	}
	_ = n.process.Process.Signal(s)
	return n.ended
}

func (n *Node) end(s os.Signal) {
	if ended := n.signal(s); ended != nil {
		<-ended
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.process = nil
}
