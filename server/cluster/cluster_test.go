package cluster

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	reversehttp "reversehttp/sdk-go"
	"reversehttp/server/account"
	"reversehttp/server/claim"
	"reversehttp/server/cluster/engine"
	"reversehttp/server/cluster/peer"
	"reversehttp/server/gateway"
	"reversehttp/server/quota"
)

// world is a cluster on loopback, whose engine is in memory.
type world struct {
	t      *testing.T
	engine *engine.Memory
	nodes  []*testNode
	turn   atomic.Int64
	client *http.Client
	texts  sync.Map // TXT records, by name
	known  *account.Directory
	speaks map[string]peer.Versions // by node; nil for those of this release
}

// testNode is a gateway of the cluster.
type testNode struct {
	name    string
	node    *Node
	gateway *gateway.Gateway
	server  *http.Server
	address string
	engine  engine.Engine
	once    sync.Once
	gone    atomic.Bool
	mute    atomic.Bool // other nodes hear nothing from it
}

const publicURL = "http://{label}.gateway.example/"

// newWorld starts a cluster of n nodes. Each request of its client goes to another node than the one
// before, on a connection of its own.
func newWorld(t *testing.T, n int) *world {
	t.Helper()
	return newWorldOf(t, n, nil)
}

// newWorldOf is newWorld with accounts.
func newWorldOf(t *testing.T, n int, accounts *account.Directory) *world {
	t.Helper()
	w := &world{t: t, engine: engine.NewMemory(), known: accounts}
	w.open(n)
	return w
}

// open starts n nodes, and makes the client.
func (w *world) open(n int) {
	w.t.Helper()
	for i := range n {
		w.start(fmt.Sprintf("node%d", i))
	}
	w.client = &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			for {
				at := w.nodes[int(w.turn.Add(1))%len(w.nodes)]
				if !at.gone.Load() {
					return new(net.Dialer).DialContext(ctx, network, at.address)
				}
			}
		},
	}}
}

// start starts a node.
func (w *world) start(name string) *testNode {
	t := w.t
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	e, err := w.engine.Connect(t.Context(), engine.Options{Node: name, Run: name + "-run", Log: log})
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := New(Options{Engine: e, Name: name, Run: name + "-run", Address: listener.Addr().String(), Speaks: w.speaks[name], Settings: map[string]string{"--public-url": publicURL}, Log: log})
	var each *quota.Limits // of a label
	if w.known != nil {
		each = &quota.Limits{quota.RequestBytesPerMonth: 1 << 40}
	}
	g, err := gateway.New(gateway.Options{
		Accounts: w.known, Quotas: gateway.Quotas{Shared: Usage(n), Label: each},
		PublicURL: publicURL, Loopback: true, Elsewhere: n, Records: e, Withdrawn: e, NotReady: n.NotReady, Metrics: n.Metrics(), SharedTokens: []string{"secret"}, Log: log,
		DomainSecret: []byte("secret"), SharedDomains: Domains(n), LookupTXT: w.lookup,
	})
	if err != nil {
		t.Fatal(err)
	}
	public, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	one := &testNode{name: name, node: n, gateway: g, server: g.Server(), address: public.Addr().String(), engine: e}
	n.Start(mortal{listener, &one.gone, &one.mute}, g)
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = one.server.Serve(gateway.Listen(mortal{public, &one.gone, new(atomic.Bool)}))
	}()
	w.nodes = append(w.nodes, one)
	t.Cleanup(func() {
		w.kill(one)
		<-served
	})
	return one
}

// lookup returns the TXT records of a name.
func (w *world) lookup(_ context.Context, name string) ([]string, error) {
	if text, is := w.texts.Load(strings.TrimSuffix(name, ".")); is {
		return []string{text.(string)}, nil
	}
	return nil, &net.DNSError{IsNotFound: true}
}

// kill ends a node without a word to the others.
func (w *world) kill(n *testNode) {
	n.once.Do(func() {
		n.gone.Store(true)
		w.engine.Cut(n.name, engine.CutAll)
		_ = n.server.Close()
		n.node.Close()
		n.gateway.Close()
		n.engine.Close()
	})
}

// home returns the node that keeps a label.
func (w *world) home(label string) *testNode {
	w.t.Helper()
	for _, n := range w.nodes {
		if !n.gone.Load() && n.gateway.Registry().Lookup(label) != nil {
			return n
		}
	}
	return nil
}

// serve serves a label with the SDK until the test ends, each of whose requests goes to another node.
func (w *world) serve(label string, handler http.HandlerFunc, transport reversehttp.Transport) *reversehttp.Session {
	w.t.Helper()
	s, err := reversehttp.Claim(w.t.Context(), "http://gateway.example", &reversehttp.Options{
		Label: label, Token: "secret", Client: w.client, Transport: transport, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = s.Serve(handler)
	}()
	w.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = s.Shutdown(ctx)
		<-served
	})
	return s
}

// visit sends a visitor's request and returns the response with its content.
func (w *world) visit(method, label string, content io.Reader) (int, string, error) {
	r, err := http.NewRequest(method, "http://"+label+".gateway.example/", content)
	if err != nil {
		return 0, "", err
	}
	resp, err := w.client.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(got), err
}

// other returns a node that lives and is not the given one.
func (w *world) other(than *testNode, i int) *testNode {
	var all []*testNode
	for _, n := range w.nodes {
		if n != than && !n.gone.Load() {
			all = append(all, n)
		}
	}
	return all[i%len(all)]
}

// dialing returns a transport whose requests all go to a node.
func dialing(at *testNode) *http.Transport {
	return &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, at.address)
	}}
}

// visitAt sends a visitor's request for a path to a node.
func (w *world) visitAt(at *testNode, method, label, path, content string) (int, string, error) {
	client := &http.Client{Transport: dialing(at)}
	r, err := http.NewRequest(method, "http://"+label+".gateway.example"+path, strings.NewReader(content))
	if err != nil {
		return 0, "", err
	}
	resp, err := client.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(got), err
}

func echo(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) }

func TestAnyNodeTakesAnyRequest(t *testing.T) {
	t.Parallel()
	for _, transport := range []reversehttp.Transport{reversehttp.TransportLink, reversehttp.TransportStream, reversehttp.TransportPoll} {
		t.Run(string(transport), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 3)
			w.serve("demo", echo, transport)
			for _, size := range []int{0, 1, 70_000, 1 << 20} {
				for range 6 {
					sent := strings.Repeat("x", size)
					if status, got, err := w.visit(http.MethodPost, "demo", strings.NewReader(sent)); status != http.StatusOK || got != sent || err != nil {
						t.Fatalf("%d bytes: status %d, %d bytes, %v", size, status, len(got), err)
					}
				}
			}
			keep := 0
			for _, n := range w.nodes {
				keep += n.gateway.Registry().Stats().Claims
			}
			if keep != 1 {
				t.Errorf("%d nodes keep the claim", keep)
			}
		})
	}
}

func TestProgramsWithOneTokenClaimALabelAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3)
	for round := range 10 {
		var racing sync.WaitGroup
		for range 6 {
			racing.Go(func() {
				resp, err := w.client.Post("http://gateway.example/claims", "application/json", strings.NewReader(fmt.Sprintf(`{"label":"race-%d","token":"one-token-of-all-programs"}`, round)))
				if err != nil {
					t.Error(err)
					return
				}
				defer resp.Body.Close()
				if content, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusCreated && resp.StatusCode != http.StatusOK {
					t.Errorf("%d %s", resp.StatusCode, content)
				}
			})
		}
		racing.Wait()
	}
}

func TestALabelHasOneOwner(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3)
	var won, lost atomic.Int64
	var racing sync.WaitGroup
	for i := range 12 {
		racing.Go(func() {
			body := fmt.Sprintf(`{"label":"race","token":"token-number-%d-of-twelve"}`, i)
			resp, err := w.client.Post("http://gateway.example/claims", "application/json", strings.NewReader(body))
			if err != nil {
				t.Error(err)
				return
			}
			defer resp.Body.Close()
			switch resp.StatusCode {
			case http.StatusCreated:
				won.Add(1)
			case http.StatusForbidden:
				lost.Add(1)
			default:
				content, _ := io.ReadAll(resp.Body)
				t.Errorf("%d %s", resp.StatusCode, content)
			}
		})
	}
	racing.Wait()
	if won.Load() != 1 || lost.Load() != 11 {
		t.Errorf("%d claimed the label and %d were refused, want 1 and 11", won.Load(), lost.Load())
	}
}

func TestClaimsOfANodeThatWasKilledAreTakenOver(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3)
	s := w.serve("demo", func(rw http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(rw, "here") }, reversehttp.TransportAuto)
	if status, _, err := w.visit(http.MethodGet, "demo", nil); status != http.StatusOK || err != nil {
		t.Fatal(status, err)
	}
	first := w.home("demo")
	w.kill(first)
	status, got, err := 0, "", error(nil)
	for range 100 { // the SDK may need a moment to claim again
		if status, got, err = w.visit(http.MethodGet, "demo", nil); status == http.StatusOK {
			break
		}
		if err != nil || status != http.StatusServiceUnavailable && status != http.StatusBadGateway {
			t.Fatal(status, got, err)
		}
		time.Sleep(100 * time.Millisecond)
	}
	if got != "here" || s.Label() != "demo" {
		t.Fatalf("status %d %q, label %s", status, got, s.Label())
	}
	if second := w.home("demo"); second == nil || second == first {
		t.Errorf("the home is %v", second)
	}
}

func TestHandlersThatRunWhileTheirHomeIsKilledAnswerOnce(t *testing.T) {
	t.Parallel()
	for _, transport := range []reversehttp.Transport{reversehttp.TransportLink, reversehttp.TransportStream, reversehttp.TransportPoll} {
		t.Run(string(transport), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 3)
			const visitors = 8
			var begun atomic.Int64
			all, release := make(chan struct{}), make(chan struct{})
			w.serve("demo", func(rw http.ResponseWriter, r *http.Request) {
				if begun.Add(1) == visitors {
					close(all)
				}
				<-release
				echo(rw, r)
			}, transport)
			home := w.home("demo")
			var visiting sync.WaitGroup
			var answered atomic.Int64
			for i := range visitors {
				visiting.Go(func() {
					sent := fmt.Sprintf("visitor %d", i)
					status, got, err := w.visitAt(w.other(home, i), http.MethodPost, "demo", "/", sent)
					if status != http.StatusOK || got != sent {
						t.Errorf("%s: status %d %q, %v", sent, status, got, err)
						return
					}
					answered.Add(1)
				})
			}
			<-all
			w.kill(home)
			close(release)
			visiting.Wait()
			if answered.Load() != visitors || begun.Load() != visitors {
				t.Errorf("%d of %d visitors were answered, and handlers began %d times", answered.Load(), visitors, begun.Load())
			}
		})
	}
}

func TestClaimsThatNobodyAsksForAreInheritedByOneNode(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3)
	const claims = 8
	for i := range claims {
		resp, err := w.client.Post("http://gateway.example/claims", "application/json", strings.NewReader(fmt.Sprintf(`{"label":"demo%d","token":"secret"}`, i)))
		if err != nil || resp.StatusCode != http.StatusCreated {
			t.Fatal(resp, err)
		}
		_ = resp.Body.Close()
	}
	w.kill(w.nodes[0])
	for kept := 0; kept != claims; time.Sleep(10 * time.Millisecond) {
		if t.Context().Err() != nil {
			t.Fatalf("%d of %d claims are kept", kept, claims)
		}
		kept = 0
		for _, n := range w.nodes[1:] {
			kept += n.gateway.Registry().Stats().Claims
		}
	}
}

func TestWhatMayHaveReachedAHandlerIsNotCalledSafeToRepeat(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3)
	begun := make(chan struct{})
	w.serve("demo", func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.CopyN(io.Discard, r.Body, 200_000)
		close(begun)
		<-t.Context().Done()
	}, reversehttp.TransportAuto)
	home := w.home("demo")
	go func() {
		<-begun
		w.kill(home)
	}()
	at := w.other(home, 0)
	content, writer := io.Pipe() // without an end, so that the home has some that its entry does not keep
	defer writer.Close()
	go func() {
		for _, err := writer.Write(make([]byte, 1<<10)); err == nil; _, err = writer.Write(make([]byte, 1<<10)) {
		}
	}()
	r, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://demo.gateway.example/", content)
	resp, err := (&http.Client{Transport: dialing(at)}).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if status := resp.Header.Get("Proxy-Status"); resp.StatusCode != http.StatusBadGateway || strings.Contains(status, "handed=?0") {
		t.Errorf("%d, Proxy-Status %q: want 502 without the promise that no handler had it", resp.StatusCode, status)
	}
}

func TestAClaimIsChangedAndEndedByWayOfAnyNode(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3)
	resp, err := w.client.Post("http://gateway.example/claims", "application/json", strings.NewReader(`{"label":"demo","token":"secret"}`))
	if err != nil || resp.StatusCode != http.StatusCreated {
		t.Fatal(resp, err)
	}
	_ = resp.Body.Close()
	send := func(method, body string) (int, string) {
		r := httptest.NewRequest(method, "http://gateway.example/claims/demo", strings.NewReader(body))
		r.RequestURI = ""
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", "Bearer secret")
		resp, err := w.client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		content, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, string(content)
	}
	for range 3 {
		if status, got := send(http.MethodPatch, `{"lease":77}`); status != http.StatusOK {
			t.Fatal(status, got)
		}
		if status, got := send(http.MethodGet, ""); status != http.StatusOK || !strings.Contains(got, `"lease":77`) {
			t.Fatal(status, got)
		}
	}
	if status, got := send(http.MethodDelete, ""); status != http.StatusNoContent {
		t.Fatal(status, got)
	}
	for range 3 {
		if status, got := send(http.MethodGet, ""); status != http.StatusNotFound {
			t.Fatal(status, got)
		}
	}
}

func TestNodesWithOtherSettingsDoNotJoin(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	e, err := w.engine.Connect(t.Context(), engine.Options{Node: "other", Run: "r"})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	n := New(Options{Engine: e, Name: "other", Run: "r", Address: "127.0.0.1:1", Settings: map[string]string{"--public-url": "http://{label}.elsewhere.example/"}})
	defer n.Close()
	if err := refusal(t, n); !strings.HasPrefix(err.Error(), "--public-url is http://{label}.elsewhere.example/ here and "+publicURL+" on node node0") {
		t.Fatal(err)
	}
}

// refusal returns why a node does not join, once it knows the other.
func refusal(t *testing.T, n *Node) error {
	t.Helper()
	for {
		if err := n.Agree(); err != nil {
			return err
		}
		select {
		case <-t.Context().Done():
			t.Fatal("the other node is not known")
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// mortal is a listener of a node that may be killed: nothing that it writes then arrives, as if its
// process had ended between two instructions. What a mute one writes is lost on the way.
type mortal struct {
	net.Listener
	dead, mute *atomic.Bool
}

func (l mortal) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return mortalConn{c, l.dead, l.mute}, err
}

type mortalConn struct {
	net.Conn
	dead, mute *atomic.Bool
}

func (c mortalConn) Write(p []byte) (int, error) {
	switch {
	case c.dead.Load():
		return 0, net.ErrClosed
	case c.mute.Load():
		return len(p), nil
	}
	return c.Conn.Write(p)
}

// TestTheEngineIsNotAskedForWhatIsNoLabel uses names that NATS takes for all labels, and a secret of a device.
func TestTheEngineIsNotAskedForWhatIsNoLabel(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	w.serve("demo", echo, reversehttp.TransportAuto)
	entry := w.other(w.home("demo"), 0)
	for _, label := range []string{"*", ">", "demo.*", "DEMO", "a b", ""} {
		before := entry.node.looks.Tokens()
		if home, err := entry.node.home(t.Context(), label, true); err != claim.ErrNoRecord {
			t.Errorf("the home of %q is %v, %v", label, home, err)
		}
		if after := entry.node.looks.Tokens(); after < before {
			t.Errorf("the engine was asked for %q", label)
		}
	}
	if _, err := entry.node.home(t.Context(), "demo", true); err != nil {
		t.Error(err)
	}
}
