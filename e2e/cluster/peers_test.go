package cluster

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"reversehttp/e2e/cluster/cable"
)

func TestNodesThatAreCutFromEachOtherWait(t *testing.T) {
	t.Parallel()
	for how, cut := range map[string]func(*cable.Cable){"silent": (*cable.Cable).Cut, "reset": (*cable.Cable).Break} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			c := startWithCables(t, patient...)
			home := c.All[0]
			var mu sync.Mutex
			begun := map[string]int{} // by content
			serveBy(t, c, c.lead(home).client(), "demo", func(w http.ResponseWriter, r *http.Request) {
				content, _ := io.ReadAll(r.Body)
				mu.Lock()
				begun[string(content)]++
				mu.Unlock()
				_, _ = w.Write(content)
			})()
			c.answers(t, "demo", nil)
			mu.Lock()
			clear(begun)
			mu.Unlock()
			cut(home.FromPeers)
			var visiting sync.WaitGroup
			for i := range 3 {
				for _, n := range c.others(home) {
					visiting.Go(func() { isRefused(t, c, n, fmt.Sprint("cut off ", i, n.Name)) })
				}
				visiting.Go(func() {
					sent := fmt.Sprint("at home ", i)
					if status, got, err := post(home, c.URLOf("demo"), sent); status != http.StatusOK || got != sent {
						t.Errorf("%s: %d %q, %v", home.Name, status, got, err)
					}
				})
			}
			visiting.Wait()
			home.FromPeers.Mend()
			c.answers(t, "demo", nil)
			mu.Lock()
			for content, n := range begun {
				if content != "hello" && n > 1 {
					t.Errorf("a handler began %d times for %q", n, content)
				}
			}
			mu.Unlock()
			for _, n := range c.All {
				for _, why := range []string{"asked", "inherited"} {
					took := n.takeovers(why)
					if took > 0 && strings.Contains(n.Log(), "why=silent") {
						t.Skip("this machine is too busy for heartbeats: ", n.Log())
					}
					if took > 0 {
						t.Errorf("%s took %v claims over (%s)", n.Name, took, why)
					}
				}
			}
		})
	}
}

// isRefused checks that a visitor at a node that does not reach the home is asked to come back.
func isRefused(t *testing.T, c *Nodes, at *Node, content string) {
	resp, err := dialing(at.Address).Post(c.URLOf("demo"), "text/plain", strings.NewReader(content))
	if err != nil {
		t.Error(err)
		return
	}
	defer resp.Body.Close()
	var problem struct {
		Code string `json:"code"`
	}
	err = json.NewDecoder(resp.Body).Decode(&problem)
	if resp.StatusCode != http.StatusServiceUnavailable || problem.Code != "no_handler" || resp.Header.Get("Retry-After") == "" {
		t.Errorf("%s, which is cut off: %d %q, %v, Retry-After: %q, want 503 no_handler", at.Name, resp.StatusCode, problem.Code, err, resp.Header.Get("Retry-After"))
	}
}
