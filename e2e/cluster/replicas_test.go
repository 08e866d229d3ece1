package cluster

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"reversehttp/e2e/cluster/check"
	"reversehttp/e2e/cluster/natsserver"
)

func TestNobodyNoticesThatTheLeaderOfNATSIsKilled(t *testing.T) {
	t.Parallel()
	servers := natsserver.ForTest(t, 3)
	var urls []string
	for _, s := range servers {
		urls = append(urls, s.URL())
	}
	conn, err := nats.Connect(strings.Join(urls, ","), nats.MaxReconnects(-1))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	// info returns how the records are stored, once all three servers have them.
	info := func() (got *jetstream.StreamInfo) {
		until(t, "three servers have the records", func() bool {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			stream, err := js.Stream(ctx, "KV_reversehttp")
			if err != nil {
				return false
			}
			got = stream.CachedInfo()
			current := 0
			for _, r := range got.Cluster.Replicas {
				if r.Current {
					current++
				}
			}
			return got.Cluster.Leader != "" && current == len(servers)-1
		})
		return got
	}
	events := underLoadAt(t, fewVisitors, Options{Flags: patient, NATS: servers[0], Replicas: servers[1:]}, func(t *testing.T, c *Nodes, _ *inTurn, _ *check.Recorder) {
		for round := range *rounds {
			before := info()
			for i, s := range servers {
				if before.Cluster.Leader != fmt.Sprint("n", i+1) {
					continue
				}
				s.Kill()
				until(t, "a new label is claimed without the leader", func() bool {
					status, _, _ := claimAt(t.Context(), c.All[round%len(c.All)], fmt.Sprint("new-", round), token, 60)
					return status == http.StatusCreated || status == http.StatusOK
				})
				if err := s.Start(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
	judge(t, events, true)
}
