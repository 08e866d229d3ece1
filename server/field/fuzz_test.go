package field

import (
	"strings"
	"testing"
)

// Whatever cookies a visitor sends, a handler gets none of the gateway's own, and all others as they are.
func FuzzWithoutOwnCookies(f *testing.F) {
	for _, s := range []string{
		"", "a=1", "reversehttp-share=x", "a=1; reversehttp-share=x; b=2", "__Host-reversehttp-share=x;a", " reversehttp-a ; b=\"c;d\"",
		"__HOST-HTTP-ReverseHttp-past=1; c=3", "a=reversehttp-b", ";;=reversehttp-a", "\treversehttp-\x00=1",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		got := WithoutOwnCookies(value)
		var others []string
		for pair := range strings.SplitSeq(value, ";") {
			if name, _, _ := strings.Cut(pair, "="); !ownCookie(name) {
				others = append(others, pair)
			}
		}
		if want := strings.Join(others, ";"); strings.TrimLeft(got, " \t") != strings.TrimLeft(want, " \t") {
			t.Errorf("%q without the gateway's own = %q, want %q", value, got, want)
		}
		if again := WithoutOwnCookies(got); again != got {
			t.Errorf("%q, and again %q", got, again)
		}
	})
}
