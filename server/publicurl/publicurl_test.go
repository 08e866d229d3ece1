package publicurl

import (
	"strings"
	"testing"
)

const (
	hostShape = "http://{label}.localhost:8080/"
	pathShape = "http://localhost:8080/at/{label}/"
)

func TestTemplatesOfPublicURLs(t *testing.T) {
	for _, c := range []struct{ template, base, control, authority, pseudonym string }{
		{hostShape, "http://demo.localhost:8080/", "http://localhost:8080/", "demo.localhost:8080", "demo.localhost:8080"},
		{"https://{label}.Example.org", "https://demo.Example.org/", "https://example.org/", "demo.Example.org", "demo.Example.org"},
		{pathShape, "http://localhost:8080/at/demo/", "http://localhost:8080/", "localhost:8080", "demo.localhost:8080"},
		{"https://example.org/a/b/{label}", "https://example.org/a/b/demo/", "https://example.org/", "example.org", "demo.example.org"},
		{"http://[::1]:8080/at/{label}/", "http://[::1]:8080/at/demo/", "http://[::1]:8080/", "[::1]:8080", "demo.[::1]:8080"},
	} {
		p, err := Parse(c.template)
		if err != nil {
			t.Errorf("%s: %v", c.template, err)
			continue
		}
		if p.Base("demo") != c.base || p.Control != c.control || p.Authority("demo") != c.authority || p.Pseudonym("demo") != c.pseudonym {
			t.Errorf("%s gives %q %q %q %q, want %q %q %q %q", c.template, p.Base("demo"), p.Control, p.Authority("demo"), p.Pseudonym("demo"),
				c.base, c.control, c.authority, c.pseudonym)
		}
	}
}

func TestBadTemplatesSayWhatToDo(t *testing.T) {
	for _, template := range []string{
		"http://localhost:8080/", "http://{label}.{label}.org/", "ftp://{label}.example.org/", "{label}.example.org", "http://{label}/",
		"http://a{label}.example.org/", "http://x.{label}.example.org/", "http://{label}.example.org/path/", "http://localhost/{label}/",
		"http://localhost/at/{label}/x/", "http://{label}.example.org/?q", "http://u@{label}.example.org/", "http://localhost/at/{label}/#f", "",
	} {
		if _, err := Parse(template); err == nil || !strings.Contains(err.Error(), "use a template such as") {
			t.Errorf("%q: %v, want an error that says what to do", template, err)
		}
	}
}

func TestWhereARequestBelongs(t *testing.T) {
	for _, c := range []struct {
		template, host, target string
		loopback               bool
		where                  Place
		label                  string
	}{
		{hostShape, "demo.localhost:8080", "/", false, Public, "demo"},
		{hostShape, "demo.localhost", "/", false, Public, "demo"},
		{hostShape, "DEMO.LocalHost:9", "/", false, Public, "demo"},
		{hostShape, "demo.localhost.", "/", false, Public, "demo"},
		{hostShape, "demo.localhost.:8080", "/", false, Public, "demo"},
		{hostShape, "a.demo.localhost", "/", false, Elsewhere, ""},
		{hostShape, ".localhost", "/", false, Elsewhere, ""},
		{hostShape, "localhost:8080", "/at/demo/", false, Control, ""},
		{hostShape, "localhost.", "/", false, Control, ""},
		{hostShape, "127.0.0.1:8080", "/", true, Control, ""},
		{hostShape, "127.1.2.3", "/", true, Control, ""},
		{hostShape, "[::1]:8080", "/", true, Control, ""},
		{hostShape, "[::ffff:127.0.0.1]", "/", true, Control, ""},
		{hostShape, "127.0.0.1:8080", "/", false, Elsewhere, ""},
		{hostShape, "[::1]:8080", "/", false, Elsewhere, ""},
		{hostShape, "192.168.0.1:8080", "/", true, Elsewhere, ""},
		{hostShape, "0.0.0.0:8080", "/", true, Elsewhere, ""},
		{hostShape, "evil.example", "/", true, Elsewhere, ""},
		{hostShape, "demo.localhost.evil.example", "/", true, Elsewhere, ""},
		{hostShape, "evillocalhost", "/", true, Elsewhere, ""},
		{hostShape, "demo.localhost:80:80", "/", true, Elsewhere, ""},
		{hostShape, "demo.localhost:x", "/", true, Elsewhere, ""},
		{hostShape, "", "/", true, Elsewhere, ""},
		{hostShape, "[::1", "/", true, Elsewhere, ""},
		{"https://{label}.example.org/", "demo.example.org", "/", false, Public, "demo"},
		{"https://{label}.example.org/", "localhost", "/", false, Elsewhere, ""},
		{"https://{label}.example.org/", "localhost", "/", true, Control, ""},
		{pathShape, "localhost:8080", "/at/demo/x", false, Public, "demo"},
		{pathShape, "localhost:8080", "/at/demo/", false, Public, "demo"},
		{pathShape, "localhost:8080", "/at/demo", false, Bare, "demo"},
		{pathShape, "localhost:8080", "/at/demo?x", false, Bare, "demo"},
		{pathShape, "localhost:8080", "/at/", false, Bare, ""},
		{pathShape, "localhost:8080", "/at", false, Control, ""},
		{pathShape, "localhost:8080", "/claims", false, Control, ""},
		{pathShape, "localhost:8080", "/x?/at/demo/", false, Control, ""},
		{pathShape, "localhost:8080", "//at/demo/", false, Control, ""},
		{pathShape, "localhost:8080", "/%61t/demo/", false, Control, ""},
		{pathShape, "localhost:8080", "http://localhost:8080/at/demo/x", false, Public, "demo"},
		{pathShape, "localhost:8080", "http://localhost:8080?/at/demo/", false, Control, ""},
		{pathShape, "localhost:8080", "*", false, Control, ""},
		{pathShape, "demo.localhost:8080", "/", false, Elsewhere, ""},
		{pathShape, "127.0.0.1", "/at/demo/", true, Public, "demo"},
	} {
		p, err := Parse(c.template)
		if err != nil {
			t.Fatal(err)
		}
		if where, label := p.Locate(c.host, c.target, c.loopback); where != c.where || label != c.label {
			t.Errorf("%s: host %q, target %q, loopback %v belongs to %d %q, want %d %q", c.template, c.host, c.target, c.loopback, where, label, c.where, c.label)
		}
	}
}
