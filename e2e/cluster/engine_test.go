package cluster

import (
	"net/http"
	"testing"
	"time"
)

func TestTrafficGoesOnWithoutNATS(t *testing.T) {
	t.Parallel()
	c := start(t)
	serve(t, c, "demo", echo)
	c.answers(t, "demo", nil)
	c.NATS.Kill()
	c.answers(t, "demo", nil)
	if status, code, err := claimAt(t.Context(), c.All[0], "another", token, 60); status != http.StatusServiceUnavailable || code != "unavailable" {
		t.Errorf("a new label without NATS: %d %s, %v, want 503", status, code, err)
	}
	if err := c.NATS.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	until(t, "NATS takes a new label", func() bool {
		status, _, _ := claimAt(t.Context(), c.All[0], "another", token, 60)
		return status == http.StatusCreated
	})
	c.answers(t, "demo", nil)
}

func TestANodeWithoutNATSServes(t *testing.T) {
	t.Parallel()
	c := startWithCables(t, patient...)
	cut, other := c.All[0], c.All[1]
	serveBy(t, c, c.lead(cut).client(), "of-the-cut", echo)()
	serveBy(t, c, c.lead(other).client(), "of-another", echo)()
	c.answers(t, "of-the-cut", nil)
	c.answers(t, "of-another", nil)
	cut.ToNATS.Cut()
	until(t, "the node that is cut off is not ready", func() bool { return cut.Readiness(t.Context()) == http.StatusServiceUnavailable })
	for began := time.Now(); time.Since(began) < 7*time.Second; { // others hear no heartbeat meanwhile
		c.answers(t, "of-the-cut", nil)
		c.answers(t, "of-another", nil)
		time.Sleep(100 * time.Millisecond)
	}
	for _, n := range c.others(cut) {
		until(t, n.Name+" is ready", func() bool { return n.Ready(t.Context()) })
	}
	if status, code, err := claimAt(t.Context(), cut, "new", token, 60); status != http.StatusCreated && (status != http.StatusServiceUnavailable || code != "unavailable") {
		t.Errorf("a new label at the node without NATS: %d %s, %v, want 503 unavailable, or 201 if it is forwarded", status, code, err)
	}
	cut.ToNATS.Mend()
	until(t, "the node is ready again", func() bool { return cut.Ready(t.Context()) })
	until(t, "the node takes a new label", func() bool {
		status, _, _ := claimAt(t.Context(), cut, "new", token, 60)
		return status == http.StatusCreated
	})
	c.answers(t, "of-the-cut", nil)
	c.answers(t, "of-another", nil)
}

func TestClaimsThatLiveAreWrittenAgain(t *testing.T) {
	t.Parallel()
	c := start(t, patient...)
	labels := []string{"one", "two", "three"}
	for i, n := range c.All {
		serveBy(t, c, c.lead(n).client(), labels[i], echo)()
		c.answers(t, labels[i], nil)
	}
	c.NATS.Kill()
	if err := c.NATS.Lose(); err != nil {
		t.Fatal(err)
	}
	if err := c.NATS.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i, n := range c.All {
		until(t, n.Name+" writes its claim again", func() bool { return n.takeovers("restored") > 0 })
		c.answers(t, labels[i], nil)
	}
	for _, label := range labels {
		for _, n := range c.All {
			until(t, "another token is refused "+label+" at "+n.Name, func() bool {
				status, code, err := claimAt(t.Context(), n, label, "another-token-of-the-test", 60)
				if err != nil || status != http.StatusForbidden && status != http.StatusServiceUnavailable {
					t.Fatalf("%s at %s: %d %s, %v, want 403", label, n.Name, status, code, err)
				}
				return status == http.StatusForbidden
			})
		}
		c.answers(t, label, nil)
	}
}
