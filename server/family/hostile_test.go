package family

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"reversehttp/server/gateway"
)

// named gives the authority of demo.
func (w *town) named() string {
	return strings.TrimSuffix(strings.TrimPrefix(w.Base("demo"), "http://"), "/")
}

func TestTheTargetIsExactOnATurnedConnection(t *testing.T) {
	targets := map[string]string{ // "" where it is as sent
		`//a"b|c`: "", "//a%2Fb/%41": "", "//": "", "//?": "", "//a?": "", "/a?": "", "/a#b": "", "/a?x=http://y//": "", "//\xc3\xa9?\xc3\xa9": "",
		"http://{host}": "/", "http://{host}?x=/y": "/?x=/y", "http://{host}/x?y": "/x?y",
	}
	for _, way := range []string{"PTTH", "ptth with h2"} {
		t.Run(way, func(t *testing.T) {
			w := newTown(t, gateway.Options{})
			got := make(chan string, 1)
			w.serveOn(ways[way](w), http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got <- r.RequestURI }))
			for target, want := range targets {
				if want == "" {
					want = target
				}
				w.send("GET " + strings.ReplaceAll(target, "{host}", w.named()) + " HTTP/1.1\r\nHost: " + w.named() + "\r\nConnection: close\r\n\r\n")
				select {
				case seen := <-got:
					// RFC 9112, 3.2.2: a server takes absolute-form.
					if u, _ := url.Parse(w.Base("demo")); way == "PTTH" {
						seen = strings.TrimPrefix(seen, "http://"+u.Host)
					}
					if seen != want {
						t.Errorf("target %q came as %q, want %q", target, seen, want)
					}
				default:
					t.Errorf("target %q did not come", target)
				}
			}
		})
	}
}
