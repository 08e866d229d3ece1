package faults

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"reversehttp/e2e/cluster"
	"reversehttp/schema"
)

// built is the gateway's binary, built once.
var built struct {
	once sync.Once
	dir  string
	path string
	err  error
}

// gatewayBinary returns the path of the gateway, which GATEWAY_BINARY may name.
func gatewayBinary() (string, error) {
	built.once.Do(func() {
		if built.path = os.Getenv("GATEWAY_BINARY"); built.path != "" {
			return
		}
		if built.dir, built.err = os.MkdirTemp("", "faults"); built.err != nil {
			return
		}
		built.path = filepath.Join(built.dir, "gateway")
		if out, err := exec.Command("go", "build", "-o", built.path, "reversehttp/server").CombinedOutput(); err != nil {
			built.err = fmt.Errorf("build the gateway: %w: %s", err, bytes.TrimSpace(out))
		}
	})
	return built.path, built.err
}

// gateway is the process of a gateway, which may end and restart on its port.
type gateway struct {
	t       *testing.T
	path    string
	flags   []string
	port    string
	address string
	cmd     *exec.Cmd
	ended   chan error     // receives once how the process ended
	faults  *logged        // its standard error in all runs
	nodes   *cluster.Nodes // which it is in place of a process; nil if it is one
}

// unbounded are flags of every gateway.
var unbounded = []string{"--log-level=warn", "--claims-per-second=-1", "--visits-per-second=-1"}

// startGateway starts a gateway that keeps its claims, with flags.
func startGateway(t *testing.T, flags ...string) *gateway {
	t.Helper()
	if *clusterFlag {
		return startCluster(t, append(slices.Clone(unbounded), flags...))
	}
	path, err := gatewayBinary()
	if err != nil {
		t.Fatal(err)
	}
	g := &gateway{t: t, path: path, port: "0", faults: &logged{}}
	g.flags = slices.Concat([]string{"--data", t.TempDir()}, unbounded, flags)
	g.start()
	t.Cleanup(func() {
		g.kill()
		if log := g.faults.String(); strings.Contains(log, "DATA RACE") || strings.Contains(log, "panic") || strings.Contains(log, "level=ERROR") {
			t.Errorf("the gateway logs:\n%s", log)
		}
	})
	return g
}

// start starts the process, on its earlier port if it had one.
func (g *gateway) start() {
	g.t.Helper()
	g.cmd = exec.Command(g.path, append([]string{"--listen=127.0.0.1:" + g.port}, g.flags...)...)
	g.cmd.Stderr = g.faults
	out, err := g.cmd.StdoutPipe()
	if err != nil {
		g.t.Fatal(err)
	}
	if err := g.cmd.Start(); err != nil {
		g.t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	_, rest, found := strings.Cut(line, "http://localhost:")
	if err != nil || !found {
		_ = g.cmd.Process.Kill()
		_ = g.cmd.Wait()
		g.t.Fatalf("the gateway says %q, %v: %s", line, err, g.faults)
	}
	if g.port == "0" {
		g.port, _, _ = strings.Cut(rest, "/")
		g.address = "127.0.0.1:" + g.port
	}
	ended, cmd := make(chan error, 1), g.cmd
	go func() { ended <- cmd.Wait() }()
	g.ended = ended
}

// kill ends the process like kill -9. It may be called again.
func (g *gateway) kill() {
	_ = g.cmd.Process.Kill()
	err := <-g.ended
	g.ended <- err
}

// stop sends SIGTERM and returns how the process ended.
func (g *gateway) stop() error {
	if err := g.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case err := <-g.ended:
		g.ended <- err
		return err
	case <-time.After(patience):
		return errors.New("it goes on after SIGTERM")
	}
}

// origin is the control origin.
func (g *gateway) origin() string { return "http://localhost:" + g.port }

// host is the authority of the public URL of [mine].
func (g *gateway) host() string { return mine.label + ".localhost:" + g.port }

// straight dials the gateway without a proxy.
func (g *gateway) straight() (net.Conn, *link, error) {
	c, err := net.Dial("tcp", g.address)
	if err != nil {
		<-time.After(20 * time.Millisecond) // it is not there, so do not retry in a tight loop
	}
	return c, nil, err
}

// metrics are the gateway's own figures, by name with labels.
type metrics map[string]float64

// sum adds the figures whose names begin with a prefix.
func (m metrics) sum(prefix string) (n int) {
	for name, value := range m {
		if strings.HasPrefix(name, prefix) {
			n += int(value)
		}
	}
	return n
}

// ended counts exchanges by how they ended.
func (m metrics) ended(outcome, code string) int {
	return int(m[fmt.Sprintf(`reversehttp_exchanges_total{code=%q,outcome=%q}`, code, outcome)])
}

// ends returns how exchanges ended.
func (m metrics) ends() map[string]int {
	ends := map[string]int{}
	for name, value := range m {
		if labels, ok := strings.CutPrefix(name, "reversehttp_exchanges_total"); ok {
			ends[labels] = int(value)
		}
	}
	return ends
}

// code counts exchanges that the gateway answered with a code.
func (m metrics) code(code schema.Code) int {
	return m.ended("failed", string(code)) + m.ended("timed_out", string(code))
}

// metrics reads the metrics without a proxy, of a cluster the sums of all nodes.
func (g *gateway) metrics() metrics {
	g.t.Helper()
	m := metrics{}
	if g.nodes == nil {
		m.read(g.t, g.address)
		return m
	}
	for _, n := range g.nodes.All {
		m.read(g.t, n.Address)
	}
	return m
}

// read adds the metrics at an address.
func (m metrics) read(t *testing.T, address string) {
	t.Helper()
	resp, err := direct.Get("http://" + address + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("GET /metrics = %d, %v", resp.StatusCode, err)
	}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if f, err := strconv.ParseFloat(value, 64); err == nil && strings.HasPrefix(name, "reversehttp_") {
			m[name] += f
		}
	}
}

// idle waits until no exchange is open and a number of sessions live, and returns the metrics.
func (g *gateway) idle(sessions int) (m metrics) {
	g.t.Helper()
	idle := func() bool {
		m = g.metrics()
		return m["reversehttp_exchanges_open"] == 0 && m["reversehttp_sessions"] == float64(sessions)
	}
	until(g.t, fmt.Sprintf("no exchange is open and %d sessions live", sessions), idle)
	return m
}

// direct sends requests to the gateway without a proxy, each on its own connection. It resolves names below
// localhost.
var direct = &http.Client{Timeout: patience, Transport: &http.Transport{
	DisableKeepAlives: true,
	DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		_, port, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		return new(net.Dialer).DialContext(ctx, network, net.JoinHostPort("127.0.0.1", port))
	},
}}

// logged is the output of a process.
type logged struct {
	mu   sync.Mutex // guards text
	text bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
