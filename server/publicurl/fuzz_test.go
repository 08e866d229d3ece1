package publicurl

import (
	"strings"
	"testing"
)

func FuzzHost(f *testing.F) {
	for _, host := range []string{"demo.localhost:8080", "localhost", "[::1]:8080", "127.0.0.1:x", "a.b.localhost", ".localhost", "..", "[", "]:", "[::1%25lo]:1", "xn--a.localhost.", "DEMO.LOCALHOST:1"} {
		f.Add(host, "/at/demo/x", true)
		f.Add(host, "http://"+host+"/at/demo?x", false)
	}
	var shapes []*Template
	for _, template := range []string{hostShape, pathShape, "https://{label}.gateway.example/"} {
		p, err := Parse(template)
		if err != nil {
			f.Fatal(err)
		}
		shapes = append(shapes, p)
	}
	f.Fuzz(func(t *testing.T, host, target string, loopback bool) {
		for _, p := range shapes {
			where, label := p.Locate(host, target, loopback)
			name := Hostname(host)
			switch where {
			case Elsewhere, Control:
				if label != "" {
					t.Errorf("%q %q has label %q but is no claim's", host, target, label)
				}
			case Public, Bare:
				if p.PathPrefix == "" && (label == "" || strings.Contains(label, ".") || name != label+"."+p.ControlHost) {
					t.Errorf("%q is of the claim %q", host, label)
				}
				if p.PathPrefix != "" && (strings.Contains(label, "/") || !strings.Contains(target, p.PathPrefix+label)) {
					t.Errorf("%q is of the claim %q", target, label)
				}
			}
			ours := name == p.ControlHost || loopback && IsLoopback(name) || p.PathPrefix == "" && strings.HasSuffix(name, "."+p.ControlHost)
			if where != Elsewhere && !ours {
				t.Errorf("%q of %s is let in", host, p.String())
			}
			if where == Public && !strings.Contains(p.Base(label), label) {
				t.Errorf("base of %q is %q", label, p.Base(label))
			}
		}
	})
}
