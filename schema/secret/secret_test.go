package secret

import "testing"

func TestNamesTellOfSecrets(t *testing.T) {
	for name, want := range map[string]bool{
		"Authorization": true, "proxy-authorization": true, "Cookie": true, "Set-Cookie": true, "X-Api-Key": true, "apiKey": true, "api_key": true,
		"X-Hub-Signature-256": true, "Stripe-Signature": true, "password": true, "access_token": true, "X-Auth": true, "userPin": true, "key": true, "x-amz-security-token": true,
		"Author": false, "Bypass": false, "Signal": false, "Content-Type": false, "monkey": false, "keyboard": false, "X-Request-Id": false, "": false,
	} {
		if got := Named(name); got != want {
			t.Errorf("Named(%q) = %v, want %v", name, got, want)
		}
	}
}

func TestURLsAreMasked(t *testing.T) {
	for u, want := range map[string]string{
		"http://a.test/x":                       "http://a.test/x",
		"http://a.test/x?y=1&token=s&z":         "http://a.test/x?y=1&token=%5Bmasked%5D&z",
		"http://u:p@a.test/?a=b":                "http://%5Bmasked%5D@a.test/?a=b",
		"/cb#access_token=s&state=1":            "/cb#access_token=%5Bmasked%5D&state=1",
		"/x?%74oken=s":                          "/x?%74oken=%5Bmasked%5D",
		"?plasid=abcd&sid=abc":                  "?plasid=abcd&sid=%5Bmasked%5D",
		"?a=1;token=s":                          "?a=1;token=%5Bmasked%5D",
		"/x?token=&token=s":                     "/x?token=%5Bmasked%5D&token=%5Bmasked%5D",
		"/x?next=http://b.test/?token=s&sig=%%": "/x?next=http://b.test/?token=%5Bmasked%5D&sig=%5Bmasked%5D",
	} {
		if got := URL(u); got != want {
			t.Errorf("URL(%q) = %q, want %q", u, got, want)
		}
	}
}
