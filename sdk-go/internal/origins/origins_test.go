package origins

import (
	"net/url"
	"strings"
	"testing"
)

func TestOnlyURLsOfTheGatewayAreAsked(t *testing.T) {
	for _, c := range []struct {
		gateway, given string
		want           bool
	}{
		{"http://gateway.example", "http://gateway.example/claims", true},
		{"http://gateway.example/", "http://GATEWAY.example:80/claims", true},
		{"http://gateway.example", "/claims", true},
		{"http://gateway.example", "ws://gateway.example/link", true},
		{"https://gateway.example", "wss://gateway.example:443/link", true},
		{"http://127.0.0.1:8080", "http://localhost:8080/claims", true},
		{"http://localhost:8080", "http://[::1]:8080/claims", true},
		{"http://gateway.example", "https://gateway.example/claims", false},
		{"https://gateway.example", "http://gateway.example/claims", false},
		{"https://gateway.example", "ws://gateway.example:443/link", false},
		{"http://gateway.example", "http://gateway.example:8080/claims", false},
		{"http://gateway.example", "http://127.0.0.1/claims", false},
		{"http://gateway.example", "http://localhost/claims", false},
		{"http://gateway.example", "//evil.example/claims", false},
		{"http://gateway.example", "http://gateway.example@evil.example/claims", false},
		{"http://gateway.example", "http://gateway.example.evil.example/claims", false},
		{"http://gateway.example", "http:/claims", false},
		{"http://gateway.example", "http:claims", false},
		{"http://gateway.example", "file:///etc/passwd", false},
		{"http://gateway.example", "unix:/run/docker.sock", false},
		{"http://127.0.0.1:8080", "http://localhost:2375/claims", false},
		{"http://127.0.0.1:8080", "http://10.0.0.1:8080/claims", false},
	} {
		g, err := Parse(c.gateway)
		if err != nil {
			t.Fatal(err)
		}
		_, err = g.Resolve("claims", c.given)
		if (err == nil) != c.want {
			t.Errorf("%s gives %s: %v, want it to be asked: %v", c.gateway, c.given, err, c.want)
		}
		at, _ := g.Discovery.Parse(c.given)
		if err != nil && !strings.Contains(err.Error(), shown(at)) {
			t.Errorf("%s gives %s: %v, want an error that names the origin", c.gateway, c.given, err)
		}
	}
}

func TestURLsMayBeOnTheOriginOfTheDiscoveryDocument(t *testing.T) {
	g, err := Parse("http://gateway.example")
	if err != nil {
		t.Fatal(err)
	}
	g.Discovery = &url.URL{Scheme: "https", Host: "gateway.example", Path: discovery}
	for _, given := range []string{"http://gateway.example/claims", "https://gateway.example/claims", "wss://gateway.example/link"} {
		if _, err := g.Resolve("claims", given); err != nil {
			t.Error(err)
		}
	}
}
