package field

import "testing"

func TestAFieldActsOnItsOwnHostOnly(t *testing.T) {
	const host = "demo.example.com"
	for _, c := range []struct {
		name, value, want string
		kept              bool
	}{
		{"Set-Cookie", "a=1", "a=1", true},
		{"Set-Cookie", "a=1; Path=/; Domain=demo.example.com; Secure", "a=1; Path=/; Domain=demo.example.com; Secure", true},
		{"Set-Cookie", "a=1; domain = .DEMO.example.com", "a=1; domain = .DEMO.example.com", true},
		{"Set-Cookie", "a=1; Domain", "a=1; Domain", true},
		{"Set-Cookie", "a=1; Domain=", "a=1; Domain=", true},
		{"Set-Cookie", "Domain=example.com", "Domain=example.com", true}, // a cookie of that name
		{"Set-Cookie", "a=1; Domain=example.com", "", false},
		{"Set-Cookie", "a=1;\tDomain\t=\t.example.com", "", false},
		{"Set-Cookie", "a=1; DOMAIN=other.example.com", "", false},
		{"Set-Cookie", "a=1; Domain=demo.example.com; Domain=example.com", "", false},
		{"Set-Cookie", "a=1; Domain=example.com; Domain=", "", false},
		{"Set-Cookie", "a=1; Domain=example.com; Domain=demo.example.com", "", false},
		{"Set-Cookie", "a=1; Domain=demo.example.com.", "", false},
		{"Set-Cookie", "a=1; Domain=x.demo.example.com", "", false},
		{"Set-Cookie", `a=";"; Domain="demo.example.com"`, "", false},
		{"Set-Cookie", "; Domain=com", "", false},
		{"Strict-Transport-Security", "max-age=31536000; includeSubDomains; preload", "max-age=31536000", true},
		{"Strict-Transport-Security", ` INCLUDESUBDOMAINS ;Max-Age = "5";preload`, `Max-Age = "5"`, true},
		{"Strict-Transport-Security", "includeSubDomains", "", false},
		{"Strict-Transport-Security", "", "", false},
		{"Clear-Site-Data", `"cookies"`, "", false},
		{"Clear-Site-Data", `"cache",	"cookies" , "storage"`, `"cache", "storage"`, true},
		{"Clear-Site-Data", `"*"`, `"cache", "storage", "executionContexts"`, true},
		{"X-Other", "Domain=example.com; includeSubDomains", "Domain=example.com; includeSubDomains", true},
	} {
		if Narrows(c.name) != (c.name != "X-Other") {
			t.Errorf("%s is looked at: %v", c.name, Narrows(c.name))
		}
		got, kept := Narrowed(c.name, c.value, host)
		if kept != c.kept || kept && got != c.want {
			t.Errorf("%s: %q = %q %v, want %q %v", c.name, c.value, got, kept, c.want, c.kept)
		}
	}
}
