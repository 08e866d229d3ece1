// Command measure prints what several nodes cost, and how long they take for what only they do:
// go run ./e2e/cluster/measure. It takes some minutes, and belongs on a machine that does nothing else.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"reversehttp/e2e/cluster"
	reversehttp "reversehttp/sdk-go"
)

func main() {
	rounds := flag.Int("rounds", 5, "every figure is the median of that many rounds")
	each := flag.Duration("each", 2*time.Second, "how long a rate is measured in a round")
	kills := flag.Int("kills", 20, "how often the home is killed")
	claims := flag.Int("claims", 10_000, "how many claims are handed over")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *rounds, *kills, *claims, *each); err != nil {
		fmt.Fprintln(os.Stderr, "measure:", err)
		os.Exit(1)
	}
}

// run measures, and prints each figure as it comes.
func run(ctx context.Context, rounds, kills, claims int, each time.Duration) error {
	dir, err := os.MkdirTemp("", "reversehttp-measure-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	c, err := cluster.Start(ctx, cluster.Options{Dir: dir, Count: 3, Flags: []string{
		"--claims-per-address=-1", "--claims-per-second=-1", "--visits-per-second=-1", "--no-poller", "1m", "--lease", "1h", "--drain", "2m",
	}})
	if err != nil {
		return err
	}
	defer c.Close()
	m := &measuring{c: c, rounds: rounds, each: each}
	for _, step := range []func(context.Context) error{
		m.ways,
		func(ctx context.Context) error { return m.failover(ctx, kills) },
		func(ctx context.Context) error { return m.handover(ctx, claims) },
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// measuring is a cluster that is measured.
type measuring struct {
	c      *cluster.Nodes
	rounds int
	each   time.Duration
}

// client returns a client all of whose connections lead to a node.
func client(to *cluster.Node, keep int) *http.Client {
	return &http.Client{Timeout: 2 * time.Minute, Transport: &http.Transport{
		MaxIdleConnsPerHost: keep, DisableKeepAlives: keep == 0,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, to.Address)
		},
	}}
}

// serve serves a label by a program that is connected to a node, until stop is called.
func (m *measuring) serve(ctx context.Context, at *cluster.Node, label string) (stop func(), err error) {
	s, err := reversehttp.Claim(ctx, m.c.URL(), &reversehttp.Options{Label: label, Token: "a-token-of-the-measuring", Client: client(at, 64), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, err
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = s.Serve(http.HandlerFunc(handle))
	}()
	return func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = s.Shutdown(ctx)
		<-served
	}, nil
}

// The contents of responses.
var (
	small = bytes.Repeat([]byte("x"), 1<<10)
	large = bytes.Repeat([]byte("y"), 64<<20)
)

func handle(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Method == http.MethodPost:
		content, _ := io.ReadAll(r.Body)
		_, _ = w.Write(content)
	case r.URL.Path == "/large":
		_, _ = w.Write(large)
	default:
		_, _ = w.Write(small)
	}
}

// ways compares visitors at the home with visitors at another node.
func (m *measuring) ways(ctx context.Context) error {
	home, entry := m.c.All[0], m.c.All[1]
	stop, err := m.serve(ctx, home, "demo")
	if err != nil {
		return err
	}
	defer stop()
	url := m.c.URLOf("demo")
	for _, work := range []struct {
		name     string
		visitors int
		request  func() (*http.Request, error)
		size     int
	}{
		{"GET 1 KiB at 1", 1, func() (*http.Request, error) { return http.NewRequest(http.MethodGet, url, nil) }, len(small)},
		{"GET 1 KiB at 64", 64, func() (*http.Request, error) { return http.NewRequest(http.MethodGet, url, nil) }, len(small)},
		{"echo 64 KiB at 16", 16, func() (*http.Request, error) {
			return http.NewRequest(http.MethodPost, url, bytes.NewReader(large[:64<<10]))
		}, 64 << 10},
		{"GET 64 MiB at 1", 1, func() (*http.Request, error) { return http.NewRequest(http.MethodGet, url+"large", nil) }, len(large)},
	} {
		var rates [2][]float64
		var ratios []float64
		for round := range m.rounds {
			var rate [2]float64
			for i := range 2 {
				i = (i + round) % 2
				if rate[i], err = m.rate(ctx, []*cluster.Node{home, entry}[i], work.visitors, work.size, work.request); err != nil {
					return fmt.Errorf("%s: %w", work.name, err)
				}
				rates[i] = append(rates[i], rate[i])
			}
			ratios = append(ratios, rate[1]/rate[0])
		}
		fmt.Printf("%-18s at the home %8.1f/s, at another node %8.1f/s, ratio %.2f\n", work.name, median(rates[0]), median(rates[1]), median(ratios))
	}
	return nil
}

// rate returns how many requests a second visitors of a node get answered.
func (m *measuring) rate(ctx context.Context, at *cluster.Node, visitors, size int, request func() (*http.Request, error)) (float64, error) {
	by := client(at, visitors)
	defer by.CloseIdleConnections()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var done atomic.Int64
	var failed atomic.Pointer[error]
	fail := func(err error) {
		failed.CompareAndSwap(nil, &err)
		cancel()
	}
	var visiting sync.WaitGroup
	began := time.Now()
	for range visitors {
		visiting.Go(func() {
			for time.Since(began) < m.each && ctx.Err() == nil {
				r, err := request()
				if err != nil {
					fail(err)
					return
				}
				resp, err := by.Do(r.WithContext(ctx))
				if err != nil {
					fail(err)
					return
				}
				n, err := io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
				if err != nil || resp.StatusCode != http.StatusOK || int(n) != size {
					fail(fmt.Errorf("status %d with %d bytes, %w", resp.StatusCode, n, err))
					return
				}
				done.Add(1)
			}
		})
	}
	visiting.Wait()
	took := time.Since(began)
	if err := failed.Load(); err != nil {
		return 0, *err
	}
	return float64(done.Load()) / took.Seconds(), nil
}

// failover measures how long visitors of another node wait after the home was killed.
func (m *measuring) failover(ctx context.Context, kills int) error {
	stop, err := m.serve(ctx, m.c.All[2], "failing")
	if err != nil {
		return err
	}
	defer stop()
	by := client(m.c.All[2], 0)
	var all []float64
	for range kills {
		home := m.home("failing")
		if home == nil || home == m.c.All[2] { // the program stays connected
			if home == nil {
				return errors.New("no node keeps the claim")
			}
			stop()
			if stop, err = m.serve(ctx, m.c.All[2], "failing"); err != nil {
				return err
			}
			if err := m.move(ctx, home); err != nil {
				return err
			}
			continue
		}
		home.Kill()
		began := time.Now()
		for {
			resp, err := by.Get(m.c.URLOf("failing"))
			if err == nil {
				_ = resp.Body.Close()
			}
			if err == nil && resp.StatusCode == http.StatusOK {
				break
			}
			if time.Since(began) > time.Minute {
				return errors.New("nobody took the claim over")
			}
		}
		all = append(all, float64(time.Since(began).Milliseconds()))
		if err := home.Start(ctx); err != nil {
			return err
		}
	}
	if len(all) == 0 {
		return errors.New("the home was never killed")
	}
	slices.Sort(all)
	fmt.Printf("kill -9 of the home: visitors of another node wait %.0f to %.0f ms, median %.0f, %d times\n", all[0], all[len(all)-1], median(all), len(all))
	return nil
}

// move restarts a node, so that others get its claims.
func (m *measuring) move(ctx context.Context, n *cluster.Node) error {
	n.Stop()
	return n.Start(ctx)
}

// home returns the node that keeps a label, or nil.
func (m *measuring) home(label string) *cluster.Node {
	for _, n := range m.c.All {
		if strings.Contains(n.Log(), "label="+label) {
			if keeps, err := n.Metric("reversehttp_claims "); err == nil && keeps > 0 {
				return n
			}
		}
	}
	return nil
}

// handover measures how fast labels are claimed, and handed over by a node that ends.
func (m *measuring) handover(ctx context.Context, claims int) error {
	at := m.c.All[0]
	by := client(at, 64)
	var failed atomic.Pointer[error]
	var next atomic.Int64
	var claiming sync.WaitGroup
	began := time.Now()
	for range 64 {
		claiming.Go(func() {
			for i := next.Add(1); i <= int64(claims) && failed.Load() == nil; i = next.Add(1) {
				status, err := 0, error(nil)
				for status == 0 || status == http.StatusServiceUnavailable { // a node looks at most 2,000 labels up in a second
					var resp *http.Response
					if resp, err = by.Post(m.c.URL()+"/claims", "application/json", strings.NewReader(fmt.Sprintf(`{"label":"many-%d"}`, i))); err != nil {
						break
					}
					_, _ = io.Copy(io.Discard, resp.Body)
					_ = resp.Body.Close()
					status = resp.StatusCode
				}
				if err == nil && status != http.StatusCreated {
					err = fmt.Errorf("status %d for claim %d", status, i)
				}
				if err != nil {
					failed.CompareAndSwap(nil, &err)
				}
			}
		})
	}
	claiming.Wait()
	if err := failed.Load(); err != nil {
		return *err
	}
	fmt.Printf("%d labels claimed at one node: %.0f a second\n", claims, float64(claims)/time.Since(began).Seconds())
	at.Stop()
	for line := range strings.Lines(at.Log()) {
		if strings.Contains(line, "claims handed over") {
			fmt.Print("handed over:", line[strings.Index(line, "msg=")+len("msg="):])
		}
	}
	return nil
}

// median returns the median of figures.
func median(all []float64) float64 {
	sorted := slices.Sorted(slices.Values(all))
	return sorted[len(sorted)/2]
}
