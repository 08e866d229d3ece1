package reversehttp

import (
	"net/url"
	"strings"
	"testing"
)

// FuzzTarget checks that a target never becomes an authority.
func FuzzTarget(f *testing.F) {
	for _, s := range []string{"/", "/a?b", "//evil.example/%zz", "//evil.example/", "/%zz", "/a%2Fb|c", "/?", "*", "http://a.example/%zz", "///", `/\evil`, "/ a", "/%", "//@:/%"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, target string) {
		u := parseTarget(target)
		if !strings.HasPrefix(target, "/") {
			return
		}
		if u.Scheme != "" || u.Host != "" || u.User != nil {
			t.Errorf("%q is %#v", target, u)
		}
		// As a proxy sends it on.
		out := *u
		out.Scheme, out.Host = "http", "upstream.example"
		if uri := out.RequestURI(); !strings.HasPrefix(uri, "/") && !strings.HasPrefix(uri, "http://upstream.example/") {
			t.Errorf("%q is sent on as %q", target, uri)
		}
		if again, err := url.Parse(out.String()); err == nil && out.Opaque == "" && again.Host != out.Host {
			t.Errorf("%q is sent to %q", target, again.Host)
		}
	})
}
