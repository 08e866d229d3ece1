package gateway

import (
	"testing"

	"reversehttp/schema"
)

func TestDiscoveryReportsSharedCookies(t *testing.T) {
	for _, c := range []struct {
		url      string
		loopback bool
		want     bool
	}{
		{"https://{label}.example.com/", true, true},
		{"https://{label}.github.io/", false, false},
		{"http://{label}.localhost:8080/", true, false},
		{"http://{label}.localhost:8080/", false, true}, // others can reach it
	} {
		inWorld(t, Options{PublicURL: c.url, Loopback: c.loopback}, func(w *world) {
			host := w.gateway.Public().ControlHost
			if got := into[schema.Discovery](t, w.ask(get(host, "/.well-known/reversehttp"))).CookiesShared; got != c.want {
				t.Errorf("%s, local %v: cookiesShared = %v, want %v", c.url, w.gateway.Local(), got, c.want)
			}
		})
	}
}
