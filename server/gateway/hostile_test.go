package gateway

import (
	"net/netip"
	"testing"
)

func TestAPollOutlivesAHostileZone(t *testing.T) {
	inWorld(t, Options{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}, func(w *world) {
		p := w.claim("demo")
		for told, want := range map[string]string{
			"fe80::1%\xff\xfe": "[fe80::1]:0", "[fe80::1%\xff]:7": "[fe80::1]:7", "fe80::1%<b>": "[fe80::1]:0", "\xff": "10.0.0.1:1",
		} {
			r := p.from("10.0.0.1:1", get(host, "/", "X-Forwarded-For: "+told, "Forwarded: for=\xff", "X-Forwarded-Host: \xfe", "X-Forwarded-Proto: \x80"))
			if r.RemoteAddr != want {
				t.Errorf("told %q: remoteAddr = %q, want %q", told, r.RemoteAddr, want)
			}
		}
	})
}
