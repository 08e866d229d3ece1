package cluster

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestADomainLeadsToItsClaimAtEveryNode(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3)
	w.serve("demo", echo, "")
	home := w.home("demo")
	owner := func(method, content string) (status int, answer map[string]any) {
		t.Helper()
		r, err := http.NewRequest(method, "http://gateway.example/claims/demo", strings.NewReader(content))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer secret")
		r.Header.Set("Content-Type", "application/json")
		resp, err := w.client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		_ = json.NewDecoder(resp.Body).Decode(&answer)
		return resp.StatusCode, answer
	}
	asked := `{"domain":"hooks.example.org"}`
	status, answer := owner(http.MethodPatch, asked)
	record, _ := answer["domainRecord"].(string)
	value, _ := answer["domainValue"].(string)
	if status != http.StatusOK || record == "" || value == "" {
		t.Fatalf("%d %v", status, answer)
	}
	visit := func(at *testNode) int {
		r, err := http.NewRequest(http.MethodGet, "http://hooks.example.org/", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := (&http.Client{Transport: dialing(at)}).Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		return resp.StatusCode
	}
	leads := func(status int) {
		t.Helper()
		for _, n := range w.nodes {
			for tries := 0; visit(n) != status; tries++ {
				if tries > 1000 {
					t.Fatalf("%s answers %d at the domain, want %d", n.name, visit(n), status)
				}
				time.Sleep(20 * time.Millisecond)
			}
		}
	}
	leads(http.StatusMisdirectedRequest)
	w.texts.Store(record, value)
	leads(http.StatusOK) // once the record is looked up again
	for _, n := range w.nodes {
		if !n.gateway.Serves("hooks.example.org") || !n.gateway.Serves("demo.gateway.example") || n.gateway.Serves("other.gateway.example") {
			t.Errorf("%s does not know which names lead to a claim", n.name)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	home.node.Leave(ctx)
	if to := w.home("demo"); to == nil || to == home {
		t.Fatal("the claim is not at another node")
	}
	for _, n := range w.nodes { // at once: nobody has to look the record up first
		if status := visit(n); status != http.StatusOK {
			t.Errorf("%s answers %d at the domain after a move", n.name, status)
		}
	}
	if status, _ := owner(http.MethodPatch, `{"domain":""}`); status != http.StatusOK {
		t.Fatal(status)
	}
	leads(http.StatusMisdirectedRequest)
}
