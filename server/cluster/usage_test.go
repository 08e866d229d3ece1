package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"reversehttp/schema"
	reversehttp "reversehttp/sdk-go"
	"reversehttp/server/account"
	"reversehttp/server/quota"
)

// quotaWorld is a world with an account.
type quotaWorld struct {
	*world
	key string
}

// newQuotaWorld starts three nodes, at each of which a program of the account serves a label: demo0,
// demo1 and demo2.
func newQuotaWorld(t *testing.T, quotas string) *quotaWorld {
	t.Helper()
	key := account.NewKey()
	known, err := account.Parse([]byte(`{"accounts":[{"name":"ann","keys":["` + account.Hash(key) + `"],"labels":["demo*"],"quotas":` + quotas + `}]}`))
	if err != nil {
		t.Fatal(err)
	}
	w := &quotaWorld{newWorldOf(t, 3, account.Of(known)), key}
	for i, n := range w.nodes {
		near := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			to := n
			if n.gone.Load() {
				to = w.other(n, 0)
			}
			return new(net.Dialer).DialContext(ctx, network, to.address)
		}}}
		label := fmt.Sprint("demo", i)
		s, err := reversehttp.Claim(t.Context(), "http://gateway.example", &reversehttp.Options{Label: label, Token: "secret", Key: key, Client: near, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		served := make(chan struct{})
		go func() {
			defer close(served)
			_ = s.Serve(http.HandlerFunc(echo))
		}()
		t.Cleanup(func() {
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			defer cancel()
			_ = s.Shutdown(ctx)
			<-served
		})
		if w.home(label) != n {
			t.Fatalf("%s is not at %s", label, n.name)
		}
	}
	return w
}

// usage returns what a node says that the account uses.
func (w *quotaWorld) usage(at *testNode, of quota.Kind) int {
	w.t.Helper()
	u := w.usages(at)
	if len(u.Quotas) <= int(of) {
		w.t.Fatalf("%+v", u)
	}
	return u.Quotas[of].Used
}

// usages returns all that a node says.
func (w *quotaWorld) usages(at *testNode) (u schema.Usage) {
	w.t.Helper()
	r, err := http.NewRequest(http.MethodGet, "http://gateway.example/usage", nil)
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+w.key)
	resp, err := (&http.Client{Transport: dialing(at)}).Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&u); err != nil || resp.StatusCode != http.StatusOK {
		w.t.Fatalf("%d %+v %v", resp.StatusCode, u, err)
	}
	return u
}

func TestUsageHasTheLabelsOfAllNodes(t *testing.T) {
	t.Parallel()
	w := newQuotaWorld(t, `{"responseBytesPerDay":100000}`)
	for _, n := range w.nodes {
		w.await(n, quota.Claims, len(w.nodes)) // all know each other
		for i, label := range w.usages(n).Labels {
			if want := fmt.Sprint("demo", i); label.Label != want || len(label.Quotas) == 0 {
				t.Errorf("%s: label %d is %+v, want %s", n.name, i, label, want)
			}
		}
		if got := w.usages(n).Labels; len(got) != len(w.nodes) {
			t.Errorf("%s lists %+v, want the labels of all nodes", n.name, got)
		}
	}
}

func TestUsageLacksTheLabelsOfNodesThatDoNotAnswer(t *testing.T) {
	t.Parallel()
	w := newQuotaWorld(t, `{"responseBytesPerDay":100000}`)
	for _, n := range w.nodes {
		w.await(n, quota.Claims, len(w.nodes))
	}
	w.nodes[0].mute.Store(true)
	defer w.nodes[0].mute.Store(false)
	var labels []string
	for _, label := range w.usages(w.nodes[1]).Labels {
		labels = append(labels, label.Label)
	}
	if want := []string{"demo1", "demo2"}; !slices.Equal(labels, want) {
		t.Errorf("labels = %q, want %q", labels, want)
	}
}

// await waits until a node says that the account uses at least so much.
func (w *quotaWorld) await(at *testNode, of quota.Kind, least int) (got int) {
	w.t.Helper()
	for tries := 0; ; tries++ {
		if got = w.usage(at, of); got >= least {
			return got
		}
		if tries > 5000 {
			w.t.Fatalf("%s counts %d %s, want %d", at.name, got, of, least)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func TestAQuotaBoundsWhatAllNodesCount(t *testing.T) {
	t.Parallel()
	w := newQuotaWorld(t, `{"responseBytesPerDay":100000}`)
	const size = 33_200 // and a head
	for i, n := range w.nodes {
		sent := strings.Repeat("x", size)
		if status, got, err := w.visitAt(n, http.MethodPost, fmt.Sprint("demo", i), "/", sent); status != http.StatusOK || got != sent {
			t.Fatal(status, got, err)
		}
	}
	// Less than a hundredth is left of the sum, and each node has a third of it.
	sum := 0
	for i, n := range w.nodes {
		bytes, claims := w.await(n, quota.ResponseBytesPerDay, size*len(w.nodes)), w.usage(n, quota.Claims)
		if bytes > 100_000 || i > 0 && bytes != sum || claims != len(w.nodes) {
			t.Errorf("%s counts %d bytes and %d claims, want what others count, at most 100000, and %d", n.name, bytes, claims, len(w.nodes))
		}
		sum = bytes
		status, got, err := w.visitAt(n, http.MethodGet, fmt.Sprint("demo", i), "/", "")
		if status != http.StatusTooManyRequests || !strings.Contains(got, "quota_exceeded") {
			t.Errorf("%s: %d %s %v, want that the quota is used up", n.name, status, got, err)
		}
	}
	w.kill(w.nodes[0])
	for { // until another node has taken the claim over
		status, got, err := w.visitAt(w.nodes[1], http.MethodGet, "demo0", "/", "")
		if status == http.StatusTooManyRequests {
			break
		}
		if status == http.StatusOK || err != nil {
			t.Fatalf("%d %s %v, want that the use at a node that is gone counts", status, got, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
	w.engine.Mend(w.nodes[0].name)
	w.start(w.nodes[0].name) // it goes on from what it has written
	for _, n := range w.nodes[1:] {
		if got := w.usage(n, quota.ResponseBytesPerDay); got != sum {
			t.Errorf("%s counts %d bytes, and %s counted %d", n.name, got, w.nodes[0].name, sum)
		}
	}
}

// An account that has all the claims and sessions that it may have keeps them while they move.
func TestWhatMovesDoesNotCountTwice(t *testing.T) {
	t.Parallel()
	w := newQuotaWorld(t, `{"claims":3,"sessions":3}`)
	for _, n := range w.nodes {
		w.await(n, quota.Claims, 3)
		w.await(n, quota.Sessions, 3)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	w.nodes[0].node.Leave(ctx)
	if w.home("demo0") == w.nodes[0] {
		t.Fatal("the claim has not moved")
	}
	if status, got, err := w.visitAt(w.nodes[2], http.MethodPost, "demo0", "/", "x"); status != http.StatusOK || got != "x" {
		t.Errorf("after the claim was handed over: %d %s %v", status, got, err)
	}
	w.kill(w.nodes[0])
	w.kill(w.nodes[1])
	for _, label := range []string{"demo0", "demo1", "demo2"} {
		status, got, err := 0, "", error(nil)
		for tries := 0; status != http.StatusOK; tries++ { // until its program is back
			if tries > 1000 {
				t.Fatalf("%s after its home was killed: %d %s %v", label, status, got, err)
			}
			time.Sleep(20 * time.Millisecond)
			status, got, err = w.visitAt(w.nodes[2], http.MethodPost, label, "/", "x")
		}
	}
	if got := w.usage(w.nodes[2], quota.Claims); got != 3 {
		t.Errorf("%d claims, want 3", got)
	}
}
