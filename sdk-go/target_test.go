package reversehttp

import (
	"fmt"
	"testing"
)

func TestTheBaseIsRemovedFromTheTarget(t *testing.T) {
	for _, c := range []struct{ target, base, want string }{
		{"/x?y=/at/demo/", "http://demo.localhost:8080/", "/x?y=/at/demo/"},
		{"/at/demo/x%2Fy?z", "http://localhost:8080/at/demo/", "/x%2Fy?z"},
		{"/at/demo/", "http://localhost:8080/at/demo/", "/"},
		{"/at/demo//x", "http://localhost:8080/at/demo/", "//x"},
		{"/at/demo/?q", "http://localhost:8080/at/demo/", "/?q"},
		{"/at/%64emo/%zz", "http://localhost:8080/at/demo/", "/%zz"},
		{"/at/other/x", "http://localhost:8080/at/demo/", "/at/other/x"},
		{"/at%2Fdemo/x/", "http://localhost:8080/at/demo/", "/at%2Fdemo/x/"},
		{"/at", "http://localhost:8080/at/demo/", "/at"},
		{"http://localhost:8080/at/demo/x", "http://localhost:8080/at/demo/", "http://localhost:8080/x"},
		{"http://localhost:8080", "http://localhost:8080/at/demo/", "http://localhost:8080"},
		{"*", "http://localhost:8080/at/demo/", "*"},
		{"/x", "", "/x"},
	} {
		if got := withoutBase(c.target, c.base); got != c.want {
			t.Errorf("withoutBase(%q, %q) = %q, want %q", c.target, c.base, got, c.want)
		}
	}
}

func TestEveryTargetIsAURL(t *testing.T) {
	for _, c := range []struct{ target, path, query, sent string }{
		{"/a%20b?c", "/a b", "c", "/a%20b?c"},
		{"/%zz", "/%zz", "", "/%zz"},
		{"/%zz?a=%zz&b", "/%zz", "a=%zz&b", "/%zz?a=%zz&b"},
		{"/%?", "/%", "", "/%?"},
		{"//x/%e", "//x/%e", "", "//x/%25e"},
		{"//evil.example/%zz?a=%zz", "//evil.example/%zz", "a=%zz", "//evil.example/%25zz?a=%zz"},
		{"http://evil.example/%zz?b", "/%zz", "b", "/%zz?b"},
		{"http://evil.example//x/%zz", "//x/%zz", "", "//x/%25zz"},
		{"http://evil.example%zz/a", "/a", "", "/a"},
		{"*", "*", "", "*"},
	} {
		u := parseTarget(c.target)
		sent := u.RequestURI()
		if u.Path != c.path || u.RawQuery != c.query || sent != c.sent {
			t.Errorf("parseTarget(%q) = path %q, query %q, sent on as %q; want %q, %q, %q", c.target, u.Path, u.RawQuery, sent, c.path, c.query, c.sent)
		}
	}
}

// A proxy built with net/http forwards EscapedPath, and joins RawPath with its own path.
func TestOneRawCharacterLeavesTheEscapesOfATargetAlone(t *testing.T) {
	for c := byte('!'); c != 0; c++ {
		if c == '%' || c == '?' || c == 0x7f {
			continue
		}
		target := "/a%2Fb%3b%40" + string([]byte{c}) + "c"
		u := parseTarget(target)
		if path, want := u.Path, "/a/b;@"+string([]byte{c})+"c"; path != want || u.Opaque != "" {
			t.Errorf("parseTarget(%q) has the path %q, opaque %q, want %q", target, path, u.Opaque, want)
		}
		got := u.EscapedPath()
		if want := "/a%2Fb%3b%40" + string([]byte{c}) + "c"; got != want && got != "/a%2Fb%3b%40"+fmt.Sprintf("%%%02X", c)+"c" {
			t.Errorf("parseTarget(%q) is sent on as %q, want %q with no more than the character escaped", target, got, want)
		}
	}
}
