package recordings

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

func TestAGatewayHasOnlyItselfAskedForRecordings(t *testing.T) {
	for _, c := range []struct{ name, claims, exchanges, redirects string }{
		{name: "claims", claims: "{other}"},
		{name: "exchanges", exchanges: "{other}"},
		{name: "redirect of the discovery", redirects: "/.well-known/reversehttp"},
		{name: "redirect of the claim", redirects: "/claims/demo"},
		{name: "redirect of the list", redirects: "/claims/demo/exchanges"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var asked atomic.Int32
			other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { asked.Add(1) }))
			defer other.Close()
			gateway := httptest.NewUnstartedServer(nil)
			origin := "http://" + gateway.Listener.Addr().String()
			base := func(s string) string {
				if s == "" {
					return origin
				}
				return other.URL
			}
			gateway.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch r.URL.Path {
				case c.redirects:
					http.Redirect(w, r, other.URL+"/secret", http.StatusFound)
				case "/.well-known/reversehttp":
					if r.Header.Get("Authorization") != "" {
						t.Error("the discovery is asked for with a token")
					}
					_ = json.NewEncoder(w).Encode(map[string]any{"version": 1, "claims": base(c.claims) + "/claims"})
				case "/claims/demo":
					_ = json.NewEncoder(w).Encode(map[string]any{"label": "demo", "url": "http://demo.test/", "exchanges": base(c.exchanges) + "/claims/demo/exchanges"})
				default:
					_ = json.NewEncoder(w).Encode(map[string]any{"exchanges": []any{}})
				}
			})
			gateway.Start()
			defer gateway.Close()
			found, err := Find(t.Context(), nil, gateway.URL, "demo", "token")
			if err == nil {
				_, err = found.List(t.Context(), Filter{Limit: 1})
			}
			if err == nil || !strings.Contains(err.Error(), other.URL) {
				t.Errorf("error = %v, want one that names %s", err, other.URL)
			}
			if n := asked.Load(); n > 0 {
				t.Errorf("another server was asked %d times", n)
			}
		})
	}
}
