package faults

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"

	reversehttp "reversehttp/sdk-go"
)

// successive are processes of gateways that follow one another on one port, and keep their claims.
type successive struct {
	t       *testing.T
	path    string
	flags   []string
	address string
	socket  *os.File // inherited; nil if each opens its own
	cmd     *exec.Cmd
	log     logged
}

// newSuccessive starts the first one, with flags.
func newSuccessive(t *testing.T, handsOver bool, flags ...string) *successive {
	t.Helper()
	path, err := gatewayBinary()
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := &successive{t: t, path: path, flags: append(flags, "--data", t.TempDir(), "--log-level=warn", "--drain=10m"), address: l.Addr().String()}
	if handsOver {
		if g.socket, err = l.(*net.TCPListener).File(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = g.socket.Close() })
	}
	_ = l.Close()
	g.start()
	t.Cleanup(func() { g.end(syscall.SIGKILL) })
	return g
}

// start starts the next one, and waits until it serves.
func (g *successive) start() {
	g.t.Helper()
	g.cmd = exec.Command(g.path, append(slices.Clone(g.flags), "--listen="+g.address)...)
	if g.socket != nil {
		g.cmd.Args[len(g.cmd.Args)-1] = "--listen=fd:3"
		g.cmd.ExtraFiles = []*os.File{g.socket}
	}
	g.cmd.Stderr = &g.log
	out, err := g.cmd.StdoutPipe()
	if err != nil {
		g.t.Fatal(err)
	}
	if err := g.cmd.Start(); err != nil {
		g.t.Fatal(err)
	}
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		_ = g.cmd.Wait()
		g.t.Fatalf("the gateway does not start: %s", &g.log)
	}
}

// end ends the gateway with a signal, and returns how long it took.
func (g *successive) end(by syscall.Signal) time.Duration {
	start := time.Now()
	_ = g.cmd.Process.Signal(by)
	_ = g.cmd.Wait()
	return time.Since(start)
}

// serve makes a program with sdk-go serve the label demo until the test ends.
func (g *successive) serve(transport string, handler http.Handler) {
	g.t.Helper()
	s, err := reversehttp.Claim(g.t.Context(), "http://"+g.address, &reversehttp.Options{Label: "demo", Transport: reversehttp.Transport(transport)})
	if err != nil {
		g.t.Fatal(err)
	}
	var served sync.WaitGroup
	served.Go(func() { _ = s.Serve(handler) })
	g.t.Cleanup(func() {
		_ = s.Close()
		served.Wait()
	})
}

// pace counts the answers to visitors who come at a steady pace.
type pace struct {
	mu   sync.Mutex
	gets map[string]int // by status; "refused" for a refused connection, and "reset" for one that was in the queue of the port when that closed
}

// count returns how many got that answer.
func (p *pace) count(what string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.gets[what]
}

// client returns a client that reaches the gateway under any name, with one connection for each request.
func (g *successive) client() *http.Client {
	return &http.Client{Timeout: patience, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, g.address)
		},
	}}
}

// visit makes a visitor come every 10 ms, each on their own connection, until ctx ends, and waits for all.
func (g *successive) visit(ctx context.Context, p *pace) {
	var visitors sync.WaitGroup
	client := g.client()
	_, port, _ := net.SplitHostPort(g.address)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for ctx.Err() == nil {
		<-tick.C
		visitors.Go(func() {
			got := ""
			resp, err := client.Get("http://demo.localhost:" + port + "/")
			switch {
			case errors.Is(err, syscall.ECONNREFUSED):
				got = "refused"
			case errors.Is(err, syscall.ECONNRESET):
				got = "reset"
			case err != nil:
				got = err.Error()
			default:
				_ = resp.Body.Close()
				got = fmt.Sprint(resp.StatusCode)
			}
			p.mu.Lock()
			defer p.mu.Unlock()
			p.gets[got]++
		})
	}
	visitors.Wait()
}

// restarts makes visitors come while the gateway ends by a signal and the next one starts after a gap, until
// that one serves them.
func (g *successive) restarts(transport string, by syscall.Signal, gap time.Duration) map[string]int {
	g.t.Helper()
	g.serve(transport, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(5 * time.Millisecond) // so that some are running at any time
	}))
	ctx, stop := context.WithCancel(g.t.Context())
	p := &pace{gets: map[string]int{}}
	var visitors sync.WaitGroup
	visitors.Go(func() { g.visit(ctx, p) })
	more := func(n int) {
		least := p.count("200") + n
		until(g.t, "visitors are served", func() bool { return p.count("200") >= least })
	}
	more(50)
	took := g.end(by)
	time.Sleep(gap)
	g.start()
	more(100)
	stop()
	visitors.Wait()
	g.t.Logf("%s: it ended after %s; visitors got %v", by, took.Round(time.Millisecond), p.gets)
	return p.gets
}

// ways are the transports of programs.
func ways(t *testing.T, test func(t *testing.T, transport string)) {
	for _, transport := range []string{"link", "framed", "stream", "poll"} {
		t.Run(transport, func(t *testing.T) { test(t, transport) })
	}
}

// A socket that is handed over loses nobody: new connections wait in its queue.
func TestASocketThatIsHandedOverLosesNobody(t *testing.T) {
	ways(t, func(t *testing.T, transport string) {
		g := newSuccessive(t, true)
		if gets := g.restarts(transport, syscall.SIGTERM, 0); len(gets) != 1 || gets["200"] == 0 {
			t.Errorf("visitors got %v, want 200 alone", gets)
		}
	})
}

// Without that, SIGTERM loses only visitors who find the port closed, and those whose connections the kernel
// accepted but the gateway did not.
func TestSIGTERMLosesOnlyWhoFindsNoPort(t *testing.T) {
	ways(t, func(t *testing.T, transport string) {
		g := newSuccessive(t, false)
		gets := g.restarts(transport, syscall.SIGTERM, 500*time.Millisecond)
		reset := gets["reset"]
		delete(gets, "refused")
		delete(gets, "reset")
		if len(gets) != 1 || gets["200"] == 0 || reset > 2 {
			t.Errorf("visitors also got %v, and %d resets, want 200 alone", gets, reset)
		}
	})
}

// WebSockets do not delay the end of a gateway: their handlers close them, or the gateway does.
func TestSIGTERMClosesWebSockets(t *testing.T) {
	ways(t, func(t *testing.T, transport string) {
		for name, deaf := range map[string]bool{"of a handler that reads": false, "of one that does not": true} {
			t.Run(name, func(t *testing.T) {
				g := newSuccessive(t, false)
				over := make(chan struct{})
				defer close(over)
				g.serve(transport, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					c, err := websocket.Accept(w, r, nil)
					if err != nil {
						return
					}
					defer func() { _ = c.CloseNow() }()
					if deaf {
						<-over
					}
					_, _, _ = c.Read(r.Context())
				}))
				_, port, _ := net.SplitHostPort(g.address)
				c, _, err := websocket.Dial(t.Context(), "http://demo.localhost:"+port+"/", &websocket.DialOptions{HTTPClient: g.client()})
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = c.CloseNow() }()
				_ = g.cmd.Process.Signal(syscall.SIGTERM)
				if _, _, err := c.Read(t.Context()); err == nil || !deaf && websocket.CloseStatus(err) != websocket.StatusGoingAway {
					t.Errorf("the visitor read %v, want 1001, or the end where the handler is deaf", err)
				}
				if err := g.cmd.Wait(); err != nil { // long before the end of --drain
					t.Errorf("the gateway ended with %v", err)
				}
			})
		}
	})
}

// The kernel closes the connection of a killed program, so its visitor gets an answer long before its silence
// would be noticed.
func TestAKilledProgramIsNoticed(t *testing.T) {
	for _, transport := range []string{"link", "framed", "stream", "poll"} {
		t.Run(transport, func(t *testing.T) {
			g := newSuccessive(t, false, "--acknowledge=10m", "--no-poller=10m", "--answer=10m")
			_, port, _ := net.SplitHostPort(g.address)
			begun := make(chan struct{})
			var once sync.Once
			program := startProgram(t, &gateway{t: t, port: port}, &proxy{address: g.address}, owned{"demo", "t0"}, "p", transport, func(_ string, words []string) {
				if words[0] == "begin" {
					once.Do(func() { close(begun) })
				}
			})
			defer program.kill()
			visited := make(chan string)
			go func() {
				for { // until the program has claimed
					req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://demo.localhost:"+port+"/k", nil)
					req.Header.Set(fieldKey, "k")
					req.Header.Set(fieldShape, string(held))
					resp, err := g.client().Do(req)
					if err != nil {
						visited <- err.Error()
						return
					}
					_ = resp.Body.Close()
					got := resp.Status + " " + resp.Header.Get("Proxy-Status")
					select {
					case <-begun:
						visited <- got
						return
					default:
					}
					if resp.StatusCode != http.StatusNotFound {
						t.Attr("early", got) // before the program began: on a busy machine it may
					}
				}
			}()
			<-begun
			parked := &gateway{t: t, address: g.address}
			until(t, "the program polls", func() bool { return parked.metrics()["reversehttp_polls_parked"] == 1 }) // only an open poll can close
			start := time.Now()
			program.kill()
			if got := <-visited; !strings.HasPrefix(got, "503 Service Unavailable reversehttp; error=destination_unavailable") || strings.Contains(got, "?0") {
				t.Errorf("the visitor got %s, want 503, and not that no handler had it", got)
			}
			t.Logf("it was answered after %s", time.Since(start).Round(time.Millisecond))
		})
	}
}
