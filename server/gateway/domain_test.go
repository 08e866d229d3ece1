package gateway

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"reversehttp/schema"
)

// records are TXT records of DNS.
type records struct {
	mu    sync.Mutex // guards texts
	texts map[string][]string
}

func (r *records) set(name string, texts ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.texts = map[string][]string{name + ".": texts}
}

func (r *records) lookup(_ context.Context, name string) ([]string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if texts := r.texts[name]; texts != nil {
		return texts, nil
	}
	return nil, &net.DNSError{Name: name, IsNotFound: true}
}

// withDomain runs a test in both shapes with the claim demo, to which hooks.example.org leads.
func withDomain(t *testing.T, test func(r *records, p *program)) {
	t.Helper()
	for _, shape := range []string{"", pathShape} {
		r := &records{}
		inWorld(t, Options{PublicURL: shape, LookupTXT: r.lookup}, func(w *world) {
			p := w.claim("demo")
			if got := w.ask(get("hooks.example.org", "/")); got.Status != http.StatusMisdirectedRequest {
				t.Errorf("%q: before it is asked for = %d", shape, got.Status)
			}
			got := w.send("PATCH", p.Claim, p.Token, map[string]string{"domain": "hooks.example.org"})
			var state schema.ClaimState
			if err := json.Unmarshal(got.Content, &state); err != nil || state.DomainRecord != "_reversehttp.hooks.example.org" {
				t.Fatalf("%q: %s %v", shape, got.Content, err)
			}
			synctest.Wait()
			if got := w.ask(get("hooks.example.org", "/")); got.Status != http.StatusMisdirectedRequest {
				t.Errorf("%q: without the record = %d", shape, got.Status)
			}
			r.set(state.DomainRecord, "something else", state.DomainValue)
			_ = w.send("PATCH", p.Claim, p.Token, map[string]string{"domain": "hooks.example.org"})
			time.Sleep(5 * time.Second)
			synctest.Wait()
			test(r, p)
		})
	}
}

func TestADomainLeadsToItsClaim(t *testing.T) {
	withDomain(t, func(r *records, p *program) {
		asked, got := p.served("POST /a%2Fb?c HTTP/1.1\r\nHost: HOOKS.example.org:8080\r\nCookie: a=b\r\nContent-Length: 2\r\n\r\nhi", schema.Response{Status: 200, Headers: []schema.Field{
			{"Set-Cookie", "own=1"}, {"Set-Cookie", "named=1; Domain=hooks.example.org"}, {"Set-Cookie", "above=1; Domain=example.org"}, {"Service-Worker-Allowed", "/"},
		}})
		if asked.URL != "http://hooks.example.org:8080/a%2Fb?c" || asked.Base != "http://hooks.example.org:8080/" || asked.Target != "/a%2Fb?c" {
			t.Errorf("the program gets %q, base %q, target %q", asked.URL, asked.Base, asked.Target)
		}
		if !slices.Contains(asked.Headers, schema.Field{"Cookie", "a=b"}) {
			t.Error("cookies of the domain do not reach the program")
		}
		h := got.Header
		if cookies := strings.Join(h["Set-Cookie"], "|"); !strings.Contains(cookies, "own=1") || !strings.Contains(cookies, "named=1") || strings.Contains(cookies, "above=1") {
			t.Errorf("cookies %q", cookies)
		}
		if h.Get("Content-Security-Policy") != "" || h.Get("Service-Worker-Allowed") != "/" {
			t.Errorf("the domain is not treated as an origin of its own: %v", h)
		}
		v := p.visit(get("hooks.example.org:8080", "/"))
		if got := p.send("POST", p.Responses, p.Token, schema.Response{Type: schema.TypeResponse, ID: p.next().ID, Status: 200, Headers: []schema.Field{{"Set-Cookie", "named=1; Domain=hooks.example.org"}}}); strings.Contains(string(got.Content), "detail") {
			t.Errorf("of a cookie for its own domain the program gets %s", got.Content)
		}
		v.await()
		for _, path := range []string{"/claims/demo", "/.well-known/reversehttp", "/healthz", "/at/demo/"} { // the gateway's own paths are absent
			if asked, got := p.served(get("hooks.example.org:8080", path), schema.Response{Status: 299}); got.Status != 299 || asked.Target != path {
				t.Errorf("%s = %d, %q", path, got.Status, asked.Target)
			}
		}
		if asked, _ := p.served(get(strings.TrimSuffix(strings.SplitN(p.URL, "/", 4)[2], "/"), "/"+strings.SplitN(p.URL, "/", 4)[3]), schema.Response{Status: 200}); asked.Base != p.URL {
			t.Errorf("at its label the base is %q", asked.Base)
		}
		w := p.world
		if got := w.send("GET", p.Claim, p.Token, nil); !strings.Contains(string(got.Content), `"domainUrl":"http://hooks.example.org:8080/"`) {
			t.Errorf("state %s", got.Content)
		}
		if !w.gateway.Serves("hooks.example.org") || w.gateway.Serves("example.org") {
			t.Error("certificates are for other names than those that lead to claims")
		}
		r.set("_reversehttp.hooks.example.org", "something else")
		time.Sleep(3*time.Hour + time.Second)
		synctest.Wait()
		if got := w.ask(get("hooks.example.org:8080", "/")); got.Status != http.StatusMisdirectedRequest {
			t.Errorf("without its record = %d", got.Status)
		}
	})
}

func TestADomainEndsWithItsClaim(t *testing.T) {
	withDomain(t, func(_ *records, p *program) {
		w := p.world
		if got := w.send("DELETE", p.Claim, p.Token, nil); got.Status != 204 {
			t.Fatalf("DELETE = %d", got.Status)
		}
		next := w.claimWith("demo", "token-of-somebody-else") // another owner
		if got := w.ask(get("hooks.example.org:8080", "/")); got.Status != http.StatusMisdirectedRequest {
			t.Errorf("the domain leads to the next owner of the label: %d", got.Status)
		}
		_ = w.send("PATCH", next.Claim, next.Token, map[string]string{"domain": "hooks.example.org"})
		time.Sleep(time.Hour)
		synctest.Wait()
		if got := w.ask(get("hooks.example.org:8080", "/")); got.Status != http.StatusMisdirectedRequest {
			t.Errorf("the record of the previous owner leads to the next one: %d", got.Status)
		}
	})
}

func TestALoopThroughADomainIsDetected(t *testing.T) {
	withDomain(t, func(_ *records, p *program) {
		asked, _ := p.served(get("hooks.example.org:8080", "/"), schema.Response{Status: 200})
		via := ""
		for _, f := range asked.Headers {
			if f[0] == "Via" {
				via = f[1]
			}
		}
		parts := strings.SplitN(p.URL, "/", 4)
		if got := p.world.ask(get(parts[2], "/"+parts[3]+"x", "Via: "+via)); got.Status != 508 {
			t.Errorf("a request that came by the domain, at the label = %d, Via %q", got.Status, via)
		}
	})
}
