package web

import (
	"encoding/xml"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"rsc.io/qr"
)

func code(t *testing.T, query string) (*http.Response, string) {
	t.Helper()
	handlers, err := Pages()
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	handlers["/qr.svg"].ServeHTTP(w, httptest.NewRequest("GET", "/qr.svg"+query, nil))
	return w.Result(), w.Body.String()
}

// modules returns the black modules of a drawing, without the quiet zone.
func modules(t *testing.T, svg string) (black map[[2]int]bool, size int) {
	t.Helper()
	m := regexp.MustCompile(`viewBox="0 0 (\d+) (\d+)"`).FindStringSubmatch(svg)
	if m == nil || m[1] != m[2] {
		t.Fatalf("%s has no viewBox that is square", svg)
	}
	whole, _ := strconv.Atoi(m[1])
	black, size = map[[2]int]bool{}, whole-8
	path := regexp.MustCompile(`<path d="([^"]*)"`).FindStringSubmatch(svg)
	for run := range strings.SplitSeq(strings.TrimSuffix(path[1], "z"), "z") {
		var x, y, n, back int
		if _, err := fmt.Sscanf(run, "M%d %dh%dv1h-%d", &x, &y, &n, &back); err != nil || n != back {
			t.Fatalf("run %q: %v", run, err)
		}
		for i := range n {
			black[[2]int{x + i - 4, y - 4}] = true
		}
	}
	return black, size
}

func TestACodeIsDrawnModuleByModule(t *testing.T) {
	for _, text := range []string{
		"https://brave-otter-3k9x.gw.example/", "1", "12345", "HTTPS://A.EXAMPLE", "é <script>&\"'", strings.Repeat("x", 512),
	} {
		r, svg := code(t, "?text="+url.QueryEscape(text))
		if r.StatusCode != 200 || r.Header.Get("Content-Type") != "image/svg+xml" {
			t.Fatalf("%q: %d %v", text, r.StatusCode, r.Header)
		}
		want, err := qr.Encode(text, qr.M)
		if err != nil {
			t.Fatal(err)
		}
		black, size := modules(t, svg)
		if size != want.Size {
			t.Fatalf("%q: %d modules wide, want %d", text, size, want.Size)
		}
		for y := -4; y < size+4; y++ {
			for x := -4; x < size+4; x++ {
				if black[[2]int{x, y}] != want.Black(x, y) {
					t.Fatalf("%q: module %d,%d is not as in the code", text, x, y)
				}
			}
		}
		if err := xml.Unmarshal([]byte(svg), new(struct{ XMLName xml.Name })); err != nil || strings.Contains(svg, "script") {
			t.Errorf("%q: %v: %s", text, err, svg)
		}
	}
}

func TestACodeIsKeptAndMayDoNothing(t *testing.T) {
	r, svg := code(t, "?text=a")
	for name, want := range map[string]string{
		"Cache-Control": "private, max-age=86400", "X-Content-Type-Options": "nosniff", "Cross-Origin-Resource-Policy": "same-origin",
		"Referrer-Policy": "no-referrer", "Content-Length": strconv.Itoa(len(svg)),
	} {
		if got := r.Header.Get(name); got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
	if p := r.Header.Get("Content-Security-Policy"); !strings.HasPrefix(p, "default-src 'none'") || strings.Contains(p, "self") || strings.Contains(p, "unsafe") {
		t.Errorf("policy = %q, want one that allows nothing", p)
	}
}

func TestAMissingOrLongTextIsRefused(t *testing.T) {
	for _, query := range []string{"", "?text=", "?other=a", "?text=%ff", "?text=" + strings.Repeat("x", 513), "?text=" + strings.Repeat("%C3%A9", 257)} {
		r, body := code(t, query)
		if r.StatusCode != 400 || r.Header.Get("Content-Type") != "application/problem+json" || r.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%q: %d %v, want 400 that is not kept", query, r.StatusCode, r.Header)
		}
		if !strings.Contains(body, `"code":"bad_request"`) || !strings.Contains(body, "512 bytes") {
			t.Errorf("%q: %s", query, body)
		}
	}
}

func BenchmarkCode(b *testing.B) {
	r := httptest.NewRequest("GET", "/qr.svg?text="+strings.Repeat("x", mostText), nil)
	for b.Loop() {
		serveQR(httptest.NewRecorder(), r)
	}
}
