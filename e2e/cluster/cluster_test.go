package cluster

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"reversehttp/e2e/cluster/natsserver"
	reversehttp "reversehttp/sdk-go"
)

// start starts three nodes with flags for a test.
func start(t *testing.T, flags ...string) *Nodes {
	t.Helper()
	c, err := Start(t.Context(), Options{Dir: t.TempDir(), Count: 3, NATS: natsserver.ForTest(t, 1)[0], Flags: flags})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// client returns a client each of whose requests goes to another node than the one before.
func (c *Nodes) client() *http.Client {
	return dialing(c.Balancer.Address())
}

// dialing returns a client each of whose requests has a connection of its own to an address.
func dialing(address string) *http.Client {
	return &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, address)
	}}}
}

// post sends a visitor's POST for a URL to a node, and returns the status and content of the response.
func post(at *Node, url, content string) (int, string, error) {
	resp, err := dialing(at.Address).Post(url, "text/plain", strings.NewReader(content))
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(got), err
}

// serve serves a label until the test ends.
func serve(t *testing.T, c *Nodes, label string, handler http.HandlerFunc) *reversehttp.Session {
	t.Helper()
	s, err := reversehttp.Claim(t.Context(), c.URL(), &reversehttp.Options{Label: label, Token: "a-token-of-the-test", Client: c.client(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = s.Serve(handler)
	}()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = s.Shutdown(ctx)
		<-served
	})
	return s
}

func echo(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) }

// home returns the node that keeps the only claim.
func (c *Nodes) home(t *testing.T) *Node {
	t.Helper()
	for _, n := range c.All {
		if n.signal(nil) == nil {
			continue
		}
		if keeps, err := n.Metric("reversehttp_claims "); err == nil && keeps == 1 {
			return n
		}
	}
	t.Fatal("no node keeps the claim")
	return nil
}

// others returns the nodes but one.
func (c *Nodes) others(but *Node) (all []*Node) {
	for _, n := range c.All {
		if n != but {
			all = append(all, n)
		}
	}
	return all
}

// answers waits until every node but one has a visitor answered.
func (c *Nodes) answers(t *testing.T, label string, but *Node) {
	t.Helper()
	for _, n := range c.others(but) {
		for tries := 0; ; tries++ {
			status, got, err := post(n, c.URLOf(label), "hello")
			if status == http.StatusOK && got == "hello" {
				break
			}
			if tries > 600 {
				t.Fatalf("%s: %d %q, %v\n%s", n.Name, status, got, err, n.Log())
			}
			time.Sleep(100 * time.Millisecond)
		}
	}
}

func TestHomesAreKilledAndHandlersAnswerOnce(t *testing.T) {
	t.Parallel()
	c := start(t)
	const visitors = 8
	var begun atomic.Int64
	var gate sync.Mutex
	held := 0 // handlers that wait
	waiting, release := make(chan struct{}), make(chan struct{})
	serve(t, c, "demo", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/held" {
			echo(w, r)
			return
		}
		begun.Add(1)
		gate.Lock()
		if held++; held == visitors {
			close(waiting)
		}
		let := release
		gate.Unlock()
		<-let
		echo(w, r)
	})
	for round := range 3 {
		c.answers(t, "demo", nil)
		gate.Lock()
		held, waiting, release = 0, make(chan struct{}), make(chan struct{})
		all, let := waiting, release
		gate.Unlock()
		begun.Store(0)
		home := c.home(t)
		var visiting sync.WaitGroup
		for i := range visitors {
			visiting.Go(func() {
				at := c.others(home)[i%2]
				sent := fmt.Sprintf("visitor %d of round %d", i, round)
				if status, got, err := post(at, c.URLOf("demo")+"held", sent); status != http.StatusOK || got != sent {
					t.Errorf("%s: %d %q, %v", sent, status, got, err)
				}
			})
		}
		<-all
		home.Kill()
		close(let)
		visiting.Wait()
		if n := begun.Load(); n != visitors {
			t.Errorf("round %d: handlers began %d times for %d POSTs", round, n, visitors)
		}
		c.answers(t, "demo", home)
		if err := home.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAPausedHomeIsReplacedAndComesBack(t *testing.T) {
	t.Parallel()
	c := start(t)
	serve(t, c, "demo", echo)
	c.answers(t, "demo", nil)
	home := c.home(t)
	home.Pause()
	c.answers(t, "demo", home)
	home.Resume()
	c.answers(t, "demo", nil)
	keep := 0.0
	for tries := 0; tries < 600; tries++ { // the one that was paused has to learn it
		keep = 0
		for _, n := range c.All {
			claims, err := n.Metric("reversehttp_claims ")
			if err != nil {
				t.Fatal(err)
			}
			keep += claims
		}
		if keep == 1 {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Errorf("%v nodes keep the claim", keep)
}

func TestTrafficGoesOnWithoutNATS(t *testing.T) {
	t.Parallel()
	c := start(t)
	serve(t, c, "demo", echo)
	c.answers(t, "demo", nil)
	c.NATS.Kill()
	c.answers(t, "demo", nil)
	resp, err := c.client().Post(c.URL()+"/claims", "application/json", strings.NewReader(`{"label":"another"}`))
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("a new label without NATS: %d, want 503", resp.StatusCode)
	}
	if err := c.NATS.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	for tries := 0; ; tries++ {
		resp, err := c.client().Post(c.URL()+"/claims", "application/json", strings.NewReader(`{"label":"another","token":"another-token-of-the-test"}`))
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode == http.StatusCreated {
			break
		}
		if tries > 600 {
			t.Fatalf("a new label after NATS came back: %d", resp.StatusCode)
		}
		time.Sleep(100 * time.Millisecond)
	}
	c.answers(t, "demo", nil)
}
