package engine

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"reversehttp/e2e/cluster/cable"
	"reversehttp/e2e/cluster/natsserver"
	"reversehttp/server/claim"
)

var long = flag.Bool("long", false, "also try a NATS of three servers")

// natsWorld is a world on NATS. Each node has a cable to the server.
type natsWorld struct {
	t      *testing.T
	server *natsserver.Server
	cables map[string]*cable.Cable
}

func newNATSWorld(t *testing.T) *natsWorld {
	t.Helper()
	return &natsWorld{t, natsserver.ForTest(t, 1)[0], map[string]*cable.Cable{}}
}

func (w *natsWorld) connect(node string) Engine {
	w.t.Helper()
	if w.cables[node] == nil {
		c, err := cable.New(w.server.Address)
		if err != nil {
			w.t.Fatal(err)
		}
		w.t.Cleanup(c.Close)
		w.cables[node] = c
	}
	e, err := Connect(w.t.Context(), Options{URLs: []string{"nats://" + w.cables[node].Address()}, Node: node})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(e.Close)
	return e
}

// until has a deadline that only a machine that stands still misses.
func (w *natsWorld) until(what string, is func() bool) {
	w.t.Helper()
	for began := time.Now(); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Since(began) > 2*time.Minute {
			w.t.Fatal("never: " + what)
		}
	}
}

func (w *natsWorld) lose() {
	w.t.Helper()
	w.server.Kill()
	if err := errors.Join(w.server.Lose(), w.server.Start(w.t.Context())); err != nil {
		w.t.Fatal(err)
	}
}

func TestRecordsAreThereAfterARestartOfNATS(t *testing.T) {
	w := newNATSWorld(t)
	a, b := w.connect("a"), w.connect("b")
	ctx := t.Context()
	one := create(t, a, demo("demo", "t0"))
	w.until("b sees it", func() bool { _, ok := b.Home("demo"); return ok })
	changes := make(chan Change, 10)
	b.Changed(func(c Change) { changes <- c })
	<-changes
	w.server.Kill()
	w.until("b is down", func() bool { return !b.State().Up })
	if h, ok := b.Home("demo"); !ok || h.Term != one {
		t.Errorf("home while NATS is down: %+v, want the last one known", h)
	}
	if _, err := a.Create(ctx, demo("other", "t0")); err == nil || errors.Is(err, claim.ErrExists) {
		t.Errorf("create while NATS is down: %v, want an error", err)
	}
	if err := w.server.Start(ctx); err != nil {
		t.Fatal(err)
	}
	w.until("b is up", func() bool { return b.Beat(ctx, Node{}) == nil && b.State().Up })
	var two uint64
	w.until("a can change it", func() bool {
		var err error
		two, err = a.Update(ctx, demo("demo", "t1"), one)
		return err == nil
	})
	w.until("b sees the change", func() bool { h, _ := b.Home("demo"); return h.Term == two })
	if _, _, err := b.Look(ctx, "other"); !errors.Is(err, claim.ErrNoRecord) {
		t.Errorf("look at what was not created: %v, want none", err)
	}
	if c := <-changes; c.Ended || c.Lost || c.Home.Term != two {
		t.Errorf("change %+v, want only that to term %d", c, two)
	}
}

// TestAChangeThatComesLateIsKnown cuts a node off while its change is on its way: NATS reads it when
// the node has given up.
func TestAChangeThatComesLateIsKnown(t *testing.T) {
	w := newNATSWorld(t)
	a, b := w.connect("a"), w.connect("b")
	ctx := t.Context()
	taken := create(t, a, demo("taken", "t0"))
	cut := func(change func(ctx context.Context) error) {
		t.Helper()
		w.cables["a"].Cut()
		call, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
		defer cancel()
		if err := change(call); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("change while cut off: %v, want that it is open", err)
		}
	}
	cut(func(ctx context.Context) error {
		_, err := a.Create(ctx, demo("demo", "t0"))
		return err
	})
	cut(func(ctx context.Context) error {
		_, err := a.Update(ctx, demo("taken", "t1"), taken)
		return err
	})
	there, err := b.Update(ctx, demo("taken", "t1"), taken)
	wants(t, "take over", err, nil)
	w.cables["a"].Mend()
	w.until("a reads its own change", func() bool {
		r, _, err := a.Get(ctx, "demo")
		return err == nil && r.Token == claim.HashToken("t0")
	})
	_, _, err = a.Get(ctx, "taken")
	wants(t, "get of what another took over", err, claim.ErrMoved)
	if _, h, err := a.Look(ctx, "taken"); err != nil || h.Node != "b" || h.Term != there {
		t.Errorf("look: %+v %v, want b at %d", h, err, there)
	}
	w.until("a sees it", func() bool { h, _ := a.Home("taken"); return h.Term == there })
}

// TestANodeReadsWhatChangedWhileItsConnectionWasBroken has labels end and move meanwhile.
func TestANodeReadsWhatChangedWhileItsConnectionWasBroken(t *testing.T) {
	w := newNATSWorld(t)
	a, b := w.connect("a"), w.connect("b")
	ctx := t.Context()
	gone, moved := create(t, a, demo("gone", "t0")), create(t, a, demo("moved", "t0"))
	w.until("a sees them", func() bool { _, ok := a.Home("moved"); return ok })
	w.cables["a"].Break()
	w.until("a is down", func() bool { return !a.State().Up })
	wants(t, "delete", b.Delete(ctx, "gone", gone), nil)
	there, err := b.Update(ctx, demo("moved", "t0"), moved)
	wants(t, "take over", err, nil)
	w.cables["a"].Mend()
	w.until("a is up", func() bool { return a.State().Up })
	_, ok := a.Home("gone")
	if h, _ := a.Home("moved"); ok || h.Node != "b" || h.Term != there {
		t.Errorf("gone is there: %v; moved is at %+v, want b at %d", ok, h, there)
	}
}

// talk is a server that only greets with a version.
func talk(t *testing.T, version string) (url string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() {
		_ = l.Close()
		<-done
	})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = fmt.Fprintf(c, "INFO {\"server_id\":\"x\",\"version\":%q,\"proto\":1,\"max_payload\":1048576,\"jetstream\":true}\r\n", version)
			for lines := bufio.NewScanner(c); lines.Scan(); {
				if lines.Text() == "PING" {
					_, _ = fmt.Fprint(c, "PONG\r\n")
				}
			}
			_ = c.Close()
		}
	}()
	return "nats://" + l.Addr().String()
}

func TestAnOldServerIsRefused(t *testing.T) {
	for _, version := range []string{"2.9.10", "2.10.29", "1.4.1", "", "x.y"} {
		_, err := Connect(t.Context(), Options{URLs: []string{talk(t, version)}, Node: "a"})
		if !errors.Is(err, ErrOldServer) || !strings.Contains(err.Error(), "version "+version) || !strings.Contains(err.Error(), "2.11") {
			t.Errorf("version %q: %v, want that it is refused, with what is needed", version, err)
		}
	}
	for _, version := range []string{"2.11.0", "2.11.0-RC.1", "2.15.2", "3.0.0", "v2.12.1"} {
		if !atLeast(version, 2, 11) {
			t.Errorf("version %s counts as too old", version)
		}
	}
}

func TestABucketOfOthersIsRefused(t *testing.T) {
	w := newNATSWorld(t)
	c, err := nats.Connect(w.server.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	js, err := jetstream.New(c)
	if err == nil {
		_, err = js.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: "theirs"})
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Connect(t.Context(), Options{URLs: []string{w.server.URL()}, Node: "a", Bucket: "theirs"}); err == nil || !strings.Contains(err.Error(), "theirs was not made by a gateway") {
		t.Errorf("connect: %v, want that the bucket is refused", err)
	}
}

func TestConnectTriesUntilItsContextEnds(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := "nats://" + l.Addr().String()
	_ = l.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := Connect(ctx, Options{URLs: []string{nobody}, Node: "a"}); err == nil || !strings.Contains(err.Error(), "no NATS server answers at "+nobody) {
		t.Errorf("connect: %v, want that nobody answers there", err)
	}
}

// replicas returns on how many servers records are.
func replicas(t *testing.T, url string) int {
	t.Helper()
	c, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	js, err := jetstream.New(c)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(t.Context(), "KV_reversehttp")
	if err != nil {
		t.Fatal(err)
	}
	return stream.CachedInfo().Config.Replicas
}

// raceOnSeveralServers has the servers of a cluster killed one after the other, while nodes race for
// labels.
func raceOnSeveralServers(t *testing.T) {
	servers := natsserver.ForTest(t, 3)
	var urls []string
	for _, s := range servers {
		urls = append(urls, s.URL())
	}
	var nodes []Engine
	for _, name := range []string{"a", "b", "c"} {
		e, err := Connect(t.Context(), Options{URLs: urls, Node: name})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(e.Close)
		nodes = append(nodes, e)
	}
	if got := replicas(t, urls[0]); got != len(servers) {
		t.Errorf("records are on %d servers, want %d", got, len(servers))
	}
	homes := map[Home]string{}
	for round := range 2 * len(servers) {
		s := servers[round/2]
		if round%2 == 0 {
			s.Kill()
		} else if err := s.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		for i := range 50 {
			label := fmt.Sprintf("demo-%d-%d", round, i)
			type result struct {
				node int
				term uint64
				err  error
			}
			results := make(chan result, len(nodes))
			for n, e := range nodes {
				go func() {
					term, err := e.Create(t.Context(), demo(label, "t0"))
					results <- result{n, term, err}
				}()
			}
			won := map[int]uint64{}
			for range nodes {
				if r := <-results; r.err == nil {
					won[r.node] = r.term
				}
			}
			if len(won) > 1 {
				t.Fatalf("%s: nodes %v won, want one at most", label, won)
			}
			for n, term := range won {
				h := Home{Term: term}
				if homes[h] != "" {
					t.Fatalf("term %d is that of %s and %s", term, homes[h], label)
				}
				homes[h] = label
				_, _, err := nodes[n].Get(t.Context(), label)
				for err != nil && !errors.Is(err, claim.ErrNoRecord) {
					_, _, err = nodes[n].Get(t.Context(), label)
				}
				if err != nil {
					t.Errorf("%s: created and gone: %v", label, err)
				}
			}
		}
	}
	if len(homes) == 0 {
		t.Error("nobody won anything")
	}
	t.Logf("%d labels won", len(homes))
}
