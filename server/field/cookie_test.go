package field

import (
	"strings"
	"testing"
)

func TestOwnCookiesAreTakenOut(t *testing.T) {
	for cookies, want := range map[string]string{
		"": "", "a=1;  b=\"2; \";c": "a=1;  b=\"2; \";c", "reversehttp-owner=x": "", " reversehttp-owner=x ": "", "Reversehttp-Owner=x": "",
		"a=1; reversehttp-owner=x;  b=2 ;c=;=d; ": "a=1;  b=2 ;c=;=d; ", "reversehttp-owner=x; a=1": "a=1", "a=1; reversehttp-owner=x": "a=1",
		"a=1; __Host-Http-reversehttp-owner=x; b": "a=1; b", "__Host-reversehttp-a=1;__Secure-reversehttp-a=1;__Http-reversehttp-a=1": "",
		"my-reversehttp-owner=x;a=reversehttp-b": "my-reversehttp-owner=x;a=reversehttp-b",
	} {
		if got := WithoutOwnCookies(cookies); got != want {
			t.Errorf("%q: %q is left, want %q", cookies, got, want)
		}
	}
}

func TestWhoSetsOwnCookies(t *testing.T) {
	for field, want := range map[string]bool{
		"reversehttp-owner=x": true, " reversehttp-owner =x; Path=/": true, "__Host-Http-reversehttp-owner=x; Secure": true, "reversehttp-owner": true,
		"=reversehttp-owner=x": true, " = reversehttp-owner=x": true, "a=reversehttp-owner=x": false, "reversehttp=x": false, "a=1; reversehttp-owner=x": false, "": false,
	} {
		if got := SetsOwnCookie(field); got != want {
			t.Errorf("%q: %v, want %v", field, got, want)
		}
	}
}

// FuzzOwnCookies checks that none of the gateway's cookies remains, and that the others keep every byte.
func FuzzOwnCookies(f *testing.F) {
	for _, s := range []string{"a=1; reversehttp-owner=x; b=2", "reversehttp-owner=x", ";;", "reversehttp-owner=x;a"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		left := WithoutOwnCookies(value)
		for pair := range strings.SplitSeq(left, ";") {
			if name, _, _ := strings.Cut(pair, "="); ownCookie(name) {
				t.Errorf("%q: %q is left", value, left)
			}
		}
		if !strings.Contains(strings.ToLower(value), OwnCookies) && left != value {
			t.Errorf("%q became %q", value, left)
		}
	})
}
