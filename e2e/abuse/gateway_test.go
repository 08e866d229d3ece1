package abuse

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
)

const (
	// memory is what --memory allows the gateway, in bytes.
	memory = 256 << 20
	// domain is the host of the control origin, above the hosts of claims.
	domain = "gw.example"
)

// settings are the flags of every gateway.
var settings = []string{
	"--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0",
	"--public-url=http://{label}." + domain + "/",
	"--trusted-proxies=" + string(proxy),
	"--memory=" + strconv.Itoa(memory>>20) + "MiB",
	// A busy machine is slow, and that is not what is tested.
	"--no-poller=30s", "--acknowledge=60s", "--field-time=60s", "--lease=1h", "--unpolled=1h",
}

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
		if built.dir, built.err = os.MkdirTemp("", "abuse"); built.err != nil {
			return
		}
		built.path = filepath.Join(built.dir, "gateway")
		if out, err := exec.Command("go", "build", "-o", built.path, "reversehttp/server").CombinedOutput(); err != nil {
			built.err = fmt.Errorf("build the gateway: %w: %s", err, bytes.TrimSpace(out))
		}
	})
	return built.path, built.err
}

// gateway is the process of a gateway.
type gateway struct {
	cmd     *exec.Cmd
	address string
	admin   string        // the address of its metrics; set before address is sent
	log     *bytes.Buffer // warnings and errors; complete once over is closed
	over    chan struct{} // closed once it writes nothing more
}

// startGateway starts a gateway with flags in addition to settings. It ends with the test.
func startGateway(t *testing.T, flags ...string) *gateway {
	t.Helper()
	path, err := gatewayBinary()
	if err != nil {
		t.Fatal(err)
	}
	g := &gateway{cmd: exec.Command(path, append(settings[:len(settings):len(settings)], flags...)...), log: &bytes.Buffer{}, over: make(chan struct{})}
	stderr, err := g.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := g.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.kill)
	address := make(chan string, 1)
	go g.listen(stderr, address)
	select {
	case g.address = <-address:
	case <-g.over:
		t.Fatalf("the gateway did not start: %s", g.log)
	}
	return g
}

var operatorAt = regexp.MustCompile(`admin_listen=(\S+)`)

var servesAt = regexp.MustCompile(`msg=serving listen=(\S+)`)

// listen reads the log. It keeps lines above level info, and sends the address that the gateway listens on.
func (g *gateway) listen(log io.Reader, address chan<- string) {
	defer close(g.over)
	for lines := bufio.NewScanner(log); lines.Scan(); {
		line := lines.Text()
		if at := operatorAt.FindStringSubmatch(line); at != nil {
			g.admin = at[1]
		}
		if at := servesAt.FindStringSubmatch(line); at != nil {
			address <- at[1]
		}
		if !strings.Contains(line, " level=INFO ") && g.log.Len() < 16<<10 {
			g.log.WriteString(line + "\n")
		}
	}
}

// kill ends the process, if it has not ended. It may be called again.
func (g *gateway) kill() {
	_ = g.cmd.Process.Kill()
	<-g.over
	_ = g.cmd.Wait()
}

// judge ends the process, and fails the test if it had ended by itself or logged a fault.
func (g *gateway) judge(t *testing.T) {
	t.Helper()
	select {
	case <-g.over:
		t.Errorf("the gateway ended by itself: %s", g.log)
		return
	default:
	}
	g.kill()
	if log := g.log.String(); strings.Contains(log, "level=ERROR") || strings.Contains(log, "panic") || strings.Contains(log, "DATA RACE") {
		t.Errorf("the gateway logged:\n%s", log)
	}
}

// resident returns the memory of the process now, and its maximum, in bytes.
func (g *gateway) resident() (now, peak int64, err error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", g.cmd.Process.Pid))
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(status)) {
		name, rest, _ := strings.Cut(line, ":")
		kib, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
		switch name {
		case "VmRSS":
			now = kib << 10
		case "VmHWM":
			peak = kib << 10
		}
	}
	if now == 0 || peak == 0 {
		return 0, 0, errors.New("the process no longer has memory")
	}
	return now, peak, nil
}

// metrics returns figures of the gateway by name.
func (g *gateway) metrics(t *testing.T, names ...string) []float64 {
	t.Helper()
	resp, err := http.Get("http://" + g.admin + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("GET /metrics = %d, %v; want 200", resp.StatusCode, err)
	}
	figures := make([]float64, len(names))
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		for i := range names {
			if name == names[i] {
				figures[i], _ = strconv.ParseFloat(value, 64)
			}
		}
	}
	return figures
}

// mib formats bytes for people.
func mib(bytes float64) string {
	if bytes >= 1<<50 {
		return "none"
	}
	return fmt.Sprintf("%.0f MiB", bytes/(1<<20))
}
