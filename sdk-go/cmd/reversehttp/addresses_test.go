package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/net/webdav"

	"reversehttp/server/gateway"
)

// seenAs replaces the names in the tables: {local} and {port} of the server, {public} the public URL without
// its final slash, {host} its host and {path} its path.
func seenAs(s, local, public string) string {
	host, path := publicOf(public + "/")
	_, port, _ := strings.Cut(local, ":")
	return strings.NewReplacer("{local}", local, "{port}", port, "{public}", public, "{host}", host, "{path}", path).Replace(s)
}

type renamed struct{ field, given, want string }

func TestForwardMapsNamesForTheVisitor(t *testing.T) {
	t.Parallel()
	var field, value string
	var status int
	b := serveBare(t, func(string) string {
		return fmt.Sprintf("HTTP/1.1 %d X\r\n%s: %s\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", status, field, value)
	})
	local := b.Addr().String()
	everywhere := []renamed{
		{"Location", "http://{local}/a", "{public}/a"},
		{"Location", "http://{local}", "{public}/"},
		{"Location", "http://{local}?q", "{public}/?q"},
		{"Location", "http://{local}#f", "{public}/#f"},
		{"Location", "http://{local}/x%2Fy|z#f", "{public}/x%2Fy|z#f"},
		{"Location", "//localhost:{port}/a", "{public}/a"},
		{"Location", "http://LOCALHOST:{port}/a", "{public}/a"},
		{"Location", "HTTP://app.localhost:{port}/a", "{public}/a"},
		{"Location", "http://127.0.0.1:{port}/a", "{public}/a"},
		{"Location", "http://[::1]:{port}/a", "{public}/a"},
		{"Location", "http://0.0.0.0:{port}/a", "{public}/a"},
		{"Location", "https://localhost:{port}/a", "{public}/a"},
		{"Location", "http://localhost:1/a", "http://localhost:1/a"},
		{"Location", "http://localhost/a", "http://localhost/a"},
		{"Location", "http://me@localhost:{port}/a", "http://me@localhost:{port}/a"},
		{"Location", "http://other.test:{port}/a", "http://other.test:{port}/a"},
		{"Location", "//other.test/a", "//other.test/a"},
		{"Location", "next?to=http://{local}/", "next?to=http://{local}/"},
		{"Location", "mailto:a@b.test", "mailto:a@b.test"},
		{"Location", "{public}/a", "{public}/a"},
		{"Content-Location", "http://{local}/a", "{public}/a"},
		{"Sourcemap", "http://{local}/a.map", "{public}/a.map"},
		{"Hx-Redirect", "http://{local}/a", "{public}/a"},
		{"Upload-Concat", "final;http://{local}/a http://{local}/b", "final;{public}/a {public}/b"},
		{"Link", `<http://{local}/a?b,c>; rel="next", <b>; rel=prev; title="<http://{local}/>"; anchor="http://{local}/c"`, `<{public}/a?b,c>; rel="next", <b>; rel=prev; title="<http://{local}/>"; anchor="{public}/c"`},
		{"Refresh", "5; url=http://{local}/a", "5; url={public}/a"},
		{"Refresh", "0;URL='http://{local}/a'", "0;URL='{public}/a'"},
		{"Refresh", "5", "5"},
		{"Access-Control-Allow-Origin", "http://localhost:{port}", "http://{host}"},
		{"Access-Control-Allow-Origin", "https://other.test", "https://other.test"},
		{"Access-Control-Allow-Origin", "*", "*"},
	}
	inHost := []renamed{
		{"Location", "/a", "/a"},
		{"Set-Cookie", "a=1; Path=/app; Domain=localhost; HttpOnly", "a=1; Path=/app; HttpOnly"},
		{"Set-Cookie", "a=1; Domain=.127.0.0.1", "a=1"},
		{"Set-Cookie", "a=Path=/x; domain=other.test", ""}, // the gateway drops it
	}
	inPath := []renamed{
		{"Location", "/a?b", "{path}/a?b"},
		{"Location", "http://{host}/files/1", "{path}/files/1"},
		{"Location", "//{host}/files/1", "{path}/files/1"},
		{"Location", "{path}/a", "{path}/a"},
		{"Location", "{path}", "{path}/"},
		{"Location", "{path}er/a", "{path}{path}er/a"},
		{"Location", "http://{local}{path}/a", "{public}/a"},
		{"Location", "http://{host}/at/another/a", "http://{host}/at/another/a"},
		{"Content-Location", "/a", "{path}/a"},
		{"Link", "</a>; rel=preload, <b>", "<{path}/a>; rel=preload, <b>"},
		{"Refresh", "5;/a", "5;{path}/a"},
		{"Speculation-Rules", `"/a.json", "b.json"`, `"{path}/a.json", "b.json"`},
	}
	below := []renamed{
		{"Location", "/app/login", "{path}/login"},
		{"Location", "/app", "{path}/"},
		{"Location", "/app?q", "{path}/?q"},
		{"Location", "/application", "{path}/application"},
		{"Location", "/app//other.test/a", "{slashes}/other.test/a"},
		{"Location", "http://{local}/app/login", "{public}/login"},
		{"Location", "http://{host}/app/login", "{path}/login"},
		{"Location", "//localhost:{port}/app//other.test/", "{public}//other.test/"},
		{"Upload-Concat", "final;/app/a /app/b", "final;{path}/a {path}/b"},
		{"Link", "</app/a>", "<{path}/a>"},
		{"Refresh", "0; url=/app/a", "0; url={path}/a"},
	}
	cookies := []renamed{
		{"Set-Cookie", "a=1; Path=/app", "a=1; Path=/"},
		{"Set-Cookie", "a=1; path=/app/x; Secure", "a=1; path=/x; Secure"},
		{"Set-Cookie", "a=1; Path=/", "a=1; Path=/"},
		{"Set-Cookie", "a=1", "a=1"},
	}
	for _, c := range []struct {
		shape string
		args  []string
		cases [][]renamed
	}{
		{hostShape, []string{b.url()}, [][]renamed{everywhere, inHost}},
		{hostShape, []string{b.url(), "--host-header=rewrite"}, [][]renamed{everywhere, inHost}},
		{hostShape, []string{b.url(), "--host-header=app.test"}, [][]renamed{everywhere, inHost, {
			{"Location", "https://APP.test/a", "{public}/a"}, {"Set-Cookie", "a=1; Domain=app.test", "a=1"}, {"Set-Cookie", "a=1; Domain=.test", "a=1"},
		}}},
		{pathShape, []string{b.url()}, [][]renamed{everywhere, inPath}},
		{pathShape, []string{b.url(), "--host-header=rewrite"}, [][]renamed{everywhere, inPath}},
		{hostShape, []string{b.url() + "/app"}, [][]renamed{below, cookies}},
		{pathShape, []string{b.url() + "/app/"}, [][]renamed{below}},
	} {
		l := lend(t, c.shape, gateway.Options{})
		r := l.claim(t, append([]string{"forward"}, c.args...)...)
		public := strings.TrimSuffix(r.url, "/")
		for _, cases := range c.cases {
			for _, s := range cases {
				_, path := publicOf(r.url)
				// A reference that begins with two slashes would lead to another host.
				slashes := path + "/"
				if path == "" {
					slashes = public + "/"
				}
				field, value, status = s.field, seenAs(s.given, local, public), 201
				want := strings.ReplaceAll(seenAs(s.want, local, public), "{slashes}", slashes)
				if c.shape == pathShape && s.field == "Refresh" {
					want = "" // the gateway drops it
				}
				resp, err := l.visitor(t).Get(r.url)
				content(t, resp, err)
				if got := strings.Join(resp.Header[s.field], "; and "); got != want {
					t.Errorf("%s, %s: %s %q became %q, want %q", c.shape, c.args[1:], s.field, value, got, want)
				}
			}
		}
	}
}

func TestForwardMapsNamesForTheServer(t *testing.T) {
	t.Parallel()
	b := serveBare(t, func(string) string { return nothing })
	local := b.Addr().String()
	always := []renamed{
		{"Origin", "null", "null"},
		{"Origin", "https://other.test", "https://other.test"},
		{"Referer", "https://other.test/a", "https://other.test/a"},
		{"If", `(<opaquelocktoken:1> ["<a>"])`, `(<opaquelocktoken:1> ["<a>"])`},
	}
	for _, c := range []struct {
		shape, below string
		host         string
		cases        []renamed
	}{
		{hostShape, "", "preserve", []renamed{
			{"Origin", "http://{host}", "http://{host}"}, {"Referer", "http://{host}/a", "http://{host}/a"}, {"Destination", "{public}/a%2Fb|c", "{public}/a%2Fb|c"},
			{"X-Forwarded-Prefix", "/evil", ""},
		}},
		{hostShape, "", "rewrite", []renamed{
			{"Origin", "http://{host}", "http://{local}"}, {"Referer", "http://{host}/a?b", "http://{local}/a?b"}, {"Referer", "http://{host}/", "http://{local}/"},
			{"Destination", "{public}/a%2Fb|c", "http://{local}/a%2Fb|c"}, {"Destination", "/a", "/a"}, {"Destination", "//{host}/a", "//{local}/a"},
			{"If", `<{public}/a> (<opaquelocktoken:1>) <http://other.test/> (Not <DAV:no-lock>)`, `<http://{local}/a> (<opaquelocktoken:1>) <http://other.test/> (Not <DAV:no-lock>)`},
			{"Upload-Concat", "final;{public}/a /b", "final;http://{local}/a /b"}, {"Content-Location", "{public}/a", "http://{local}/a"},
		}},
		{hostShape, "", "app.test", []renamed{{"Origin", "http://{host}", "http://app.test"}, {"Destination", "{public}/a", "http://app.test/a"}}},
		{pathShape, "", "preserve", []renamed{
			{"Origin", "http://{host}", "http://{host}"}, {"Referer", "{public}/a", "http://{host}/a"}, {"Referer", "http://{host}/", "http://{host}/"},
			{"Referer", "http://{host}/at/another/", "http://{host}/at/another/"}, {"Destination", "{public}/a", "http://{host}/a"}, {"Destination", "{path}/a", "/a"}, {"Destination", "/a", "/a"},
			{"If", `<{public}/a> (<opaquelocktoken:1>)`, `<http://{host}/a> (<opaquelocktoken:1>)`}, {"X-Forwarded-Prefix", "/evil", "{path}"},
		}},
		{pathShape, "/app", "rewrite", []renamed{
			{"Origin", "http://{host}", "http://{local}"}, {"Referer", "{public}/a", "http://{local}/app/a"}, {"Referer", "http://{host}/", "http://{local}/app/"},
			{"Destination", "{public}/a", "http://{local}/app/a"}, {"Destination", "{path}/a", "/app/a"}, {"X-Forwarded-Prefix", "", "{path}"},
		}},
		{hostShape, "/app", "preserve", []renamed{{"Referer", "{public}/a", "{public}/app/a"}, {"Destination", "{public}/a", "{public}/app/a"}, {"Destination", "/a", "/app/a"}}},
	} {
		l := lend(t, c.shape, gateway.Options{})
		r := l.claim(t, "forward", b.url()+c.below, "--host-header="+c.host)
		public := strings.TrimSuffix(r.url, "/")
		for _, s := range append(always, c.cases...) {
			req, err := http.NewRequest("MOVE", r.url, nil)
			if err != nil {
				t.Fatal(err)
			}
			given := seenAs(s.given, local, public)
			if given != "" {
				req.Header.Set(s.field, given)
			}
			resp, err := l.visitor(t).Do(req)
			content(t, resp, err)
			got := ""
			for line := range strings.SplitSeq(<-b.heads, "\r\n") {
				if v, ok := strings.CutPrefix(line, s.field+": "); ok {
					got += v
				}
			}
			if want := seenAs(s.want, local, public); got != want {
				t.Errorf("%s, below %q, host %s: %s %q reached the server as %q, want %q", c.shape, c.below, c.host, s.field, given, got, want)
			}
		}
	}
}

// Early Hints are also fields of an answer.
func TestForwardMapsNamesOfEarlyHints(t *testing.T) {
	b := serveBare(t, func(string) string {
		return "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\nHTTP/1.1 200 OK\r\nLink: </a.css>; rel=preload\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
	})
	l := lend(t, pathShape, gateway.Options{})
	r := l.claim(t, "forward", b.url())
	host, path := publicOf(r.url)
	got := wire(t, l.addr, "GET "+path+"/ HTTP/1.1\r\nHost: "+host+"\r\nConnection: close\r\n\r\n")
	if n := strings.Count(got, "Link: <"+path+"/a.css>; rel=preload\r\n"); n != 2 {
		t.Errorf("%d links to the public URL, want one in each head of:\n%s", n, got)
	}
}

// The messages of a tus server and its client, as far as they contain names.
func TestForwardCarriesAnUploadOfTus(t *testing.T) {
	t.Parallel()
	var stored bytes.Buffer
	s := local(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == "POST" && r.URL.Path == "/files/":
			w.Header().Set("Location", "http://"+r.Host+"/files/1") // like tusd
			w.WriteHeader(http.StatusCreated)
		case r.Method == "PATCH" && r.URL.Path == "/files/1":
			_, _ = io.Copy(&stored, r.Body)
			w.Header().Set("Upload-Offset", fmt.Sprint(stored.Len()))
			w.WriteHeader(http.StatusNoContent)
		default:
			http.NotFound(w, r)
		}
	})
	for _, shape := range []string{hostShape, pathShape} {
		for _, host := range []string{"preserve", "rewrite"} {
			stored.Reset()
			l := lend(t, shape, gateway.Options{})
			r := l.claim(t, "forward", s.URL, "--host-header", host)
			made, err := l.visitor(t).Post(r.url+"files/", "", nil)
			content(t, made, err)
			at, err := made.Location()
			if err != nil {
				t.Fatal(err)
			}
			req, _ := http.NewRequest("PATCH", at.String(), strings.NewReader("hello"))
			resp, err := l.visitor(t).Do(req)
			content(t, resp, err)
			if resp.StatusCode != 204 || stored.String() != "hello" {
				t.Errorf("%s, %s: PATCH %s = %s, stored %q, want 204 and hello", shape, host, at, resp.Status, stored.String())
			}
		}
	}
}

func TestForwardCarriesAMoveOfWebDAV(t *testing.T) {
	t.Parallel()
	for _, below := range []string{"", "/dav"} {
		for _, shape := range []string{hostShape, pathShape} {
			for _, host := range []string{"preserve", "rewrite", "dav.test"} {
				dav := &webdav.Handler{Prefix: below, FileSystem: webdav.NewMemFS(), LockSystem: webdav.NewMemLS()}
				s := local(t, dav.ServeHTTP)
				l := lend(t, shape, gateway.Options{})
				r := l.claim(t, "forward", s.URL+below, "--host-header", host)
				for _, step := range []struct {
					method, name, to string
					want             int
				}{{"PUT", "a", "", 201}, {"MOVE", "a", "b", 201}, {"GET", "a", "", 404}, {"GET", "b", "", 200}} {
					req, _ := http.NewRequest(step.method, r.url+step.name, strings.NewReader("x"))
					if step.to != "" {
						req.Header.Set("Destination", r.url+step.to)
					}
					resp, err := l.visitor(t).Do(req)
					if content(t, resp, err); resp.StatusCode != step.want {
						t.Errorf("%s, %s, below %q: %s %s = %s, want %d", shape, host, below, step.method, step.name, resp.Status, step.want)
					}
				}
			}
		}
	}
}

func TestForwardPassesACheckAgainstForgery(t *testing.T) {
	t.Parallel()
	s := local(t, func(w http.ResponseWriter, r *http.Request) {
		for _, name := range []string{"Origin", "Referer"} {
			if from, err := url.Parse(r.Header.Get(name)); err != nil || from.Host != r.Host {
				http.Error(w, name, http.StatusForbidden)
			}
		}
	})
	for _, shape := range []string{hostShape, pathShape} {
		for _, host := range []string{"preserve", "rewrite", "app.test"} {
			l := lend(t, shape, gateway.Options{})
			r := l.claim(t, "forward", s.URL, "--host-header", host)
			own, _ := publicOf(r.url)
			for origin, want := range map[string]int{"http://" + own: 200, "https://" + own: 403, "http://other.test": 403, "null": 403} {
				if host == "preserve" && origin == "https://"+own {
					want = 200 // this check looks only at the host
				}
				req, _ := http.NewRequest("POST", r.url+"a", strings.NewReader("x"))
				req.Header.Set("Origin", origin)
				req.Header.Set("Referer", r.url+"form")
				resp, err := l.visitor(t).Do(req)
				if body := content(t, resp, err); resp.StatusCode != want {
					t.Errorf("%s, %s: POST from %s = %s %s, want %d", shape, host, origin, resp.Status, body, want)
				}
			}
		}
	}
}
