package visit

import (
	"math/rand/v2"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"unicode/utf8"

	"reversehttp/schema/envelope"
	"reversehttp/server/publicurl"
	"reversehttp/server/trust"
)

// FuzzForwarded lets a trusted proxy pass on a stranger's values in every field that describes the way of a
// request.
func FuzzForwarded(f *testing.F) {
	for _, s := range []string{
		"fe80::1%\xff\xfe", "[fe80::1%\xff]:1", "fe80::1%<script>", "fe80::1%a b", "1.2.3.4, fe80::1%\x80", "::ffff:10.0.0.1%\xff", "[fe80::1%]\xff]:80",
		"evil\xff, 9.9.9.9", "[::1]:80", "10.0.0.1, 127.0.0.1", "[", "]:", ":", ",,,", "1.2.3.4:99999", "", "\xed\xa0\x80", "\t",
	} {
		f.Add(s)
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		var b strings.Builder
		for range random.IntN(12) {
			b.WriteString([]string{"fe80::", "1.2.3.4", "%", "[", "]", ":", ",", "\xff", "\xc3", "a", " ", `"`}[random.IntN(12)])
		}
		f.Add(b.String())
	}
	f.Fuzz(func(t *testing.T, told string) {
		told = strings.NewReplacer("\r", "", "\n", "", "\x00", "").Replace(told)
		public, err := publicurl.Parse("http://{label}.localhost:8080/")
		if err != nil {
			t.Fatal(err)
		}
		v := &Visits{Public: public, Trust: trust.Peers{Proxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}}
		r := httptest.NewRequest("GET", "http://demo.localhost:8080/", nil)
		r.RemoteAddr = "10.0.0.1:1"
		for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "Via", "X-Other"} {
			r.Header[name] = []string{told, told}
		}
		s := &visit{Visits: v, r: r, label: "demo"}
		s.fill()
		req := &s.req
		if _, err := netip.ParseAddrPort(req.RemoteAddr); err != nil || strings.Contains(req.RemoteAddr, "%") {
			t.Errorf("told %q: remoteAddr = %q, want an address without zone", told, req.RemoteAddr)
		}
		all := []string{req.Method, envelope.Characters(req.Target), envelope.Characters(req.URL), req.HTTPVersion, req.RemoteAddr}
		for _, field := range req.Fields {
			all = append(all, field.Name, envelope.Characters(field.Value))
		}
		for _, one := range all {
			if !utf8.ValidString(one) {
				t.Errorf("told %q: %q is not UTF-8", told, one)
			}
		}
	})
}
