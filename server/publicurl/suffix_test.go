package publicurl

import "testing"

func TestWhoseCookiesAreShared(t *testing.T) {
	for template, want := range map[string]bool{
		"https://{label}.example.com/":               true,
		"https://{label}.example.com:8443/":          true,
		"https://{label}.apps.example.co.uk/":        true,
		"https://{label}.internal/":                  true, // no rule names it
		"https://{label}.corp.internal/":             true,
		"https://{label}.github.io/":                 false, // PRIVATE
		"https://{label}.GitHub.io/":                 false,
		"https://{label}.co.uk/":                     false, // ICANN
		"https://{label}.me/":                        false,
		"https://{label}.anything.ck/":               false, // by a wildcard
		"https://{label}.www.ck/":                    true,  // but for its exception
		"https://{label}.x.github.io/":               true,  // below a suffix
		"https://example.com/at/{label}/":            false,
		"http://localhost:8080/at/{label}/":          false,
		"https://{label}.s3.dualstack.us-east-1.zz/": true,
	} {
		p, err := Parse(template)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.SharesCookies(); got != want {
			t.Errorf("%s: %v, want %v", template, got, want)
		}
	}
}
