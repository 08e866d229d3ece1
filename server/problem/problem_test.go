package problem

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"

	"reversehttp/schema"
	"reversehttp/server/claim"
)

func TestEveryCodeHasItsKind(t *testing.T) {
	raw, err := schema.FS.ReadFile("problem.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	known := enum(t, raw)
	for _, code := range known {
		k, ok := kinds[schema.Code(code)]
		if !ok {
			t.Errorf("%s has no kind", code)
			continue
		}
		if http.StatusText(k.status) == "" || k.status < 400 || k.detail == "" {
			t.Errorf("%s: %+v lacks something", code, k)
		}
		if wants := k.status == 503 || k.status == 429; wants != (k.retryAfter > 0) {
			t.Errorf("%s: Retry-After %d with status %d", code, k.retryAfter, k.status)
		}
	}
	for code := range kinds {
		if !slices.Contains(known, string(code)) {
			t.Errorf("%s is not in the schema", code)
		}
	}
	for _, c := range codes {
		if _, ok := kinds[c.code]; !ok {
			t.Errorf("%v maps to %s, which has no kind", c.err, c.code)
		}
	}
}

// enum finds the codes in the schema of problems.
func enum(t *testing.T, raw []byte) (codes []string) {
	t.Helper()
	var find func(v any)
	find = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			if list, ok := v["enum"].([]any); ok {
				for _, one := range list {
					codes = append(codes, one.(string))
				}
			}
			for _, inner := range v {
				find(inner)
			}
		case []any:
			for _, inner := range v {
				find(inner)
			}
		}
	}
	var doc any
	if err := json.Unmarshal(raw, &doc); err != nil {
		t.Fatal(err)
	}
	find(doc)
	if len(codes) < 30 {
		t.Fatalf("found %d codes in the schema", len(codes))
	}
	return codes
}

func TestEveryErrorToVisitorsHasAProxyError(t *testing.T) {
	for _, code := range []schema.Code{
		schema.CodeNoClaim, schema.CodeNoHandler, schema.CodeQueueFull, schema.CodeDraining, schema.CodeHandlerTimeout, schema.CodeHandlerFailed,
		schema.CodeSessionLost, schema.CodeBadRequest, schema.CodeTooSlow, schema.CodeContentTooLarge, schema.CodeTargetTooLong,
		schema.CodeFieldsTooLarge, schema.CodeRateLimited, schema.CodeQuotaExceeded, schema.CodeServiceWorkerRefused, schema.CodeWrongHost,
		schema.CodeLoop, schema.CodeTakenDown,
	} {
		for handed, want := range map[claim.Handed]string{claim.HandedNo: "; handed=?0", claim.HandedYes: "; handed=?1", claim.HandedUnknown: ""} {
			w := httptest.NewRecorder()
			(&Problem{Code: code, Visitor: true, Handed: handed}).Write(w, httptest.NewRequest("GET", "/", nil))
			if got := w.Header().Get("Proxy-Status"); kinds[code].proxyError == "" || got != "reversehttp; error="+kinds[code].proxyError+want {
				t.Errorf("%s: Proxy-Status = %q", code, got)
			}
			if w.Header().Get("Cache-Control") != "no-store" {
				t.Errorf("%s may be cached", code)
			}
		}
	}
}

func TestThePageIsEscaped(t *testing.T) {
	w := httptest.NewRecorder()
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Accept", "text/html")
	(&Problem{Code: schema.CodeBadRequest, Visitor: true, Detail: `<script>alert("1")</script>&`}).Write(w, r)
	if body := w.Body.String(); strings.Contains(body, "<script") || !strings.Contains(body, "&lt;script&gt;") {
		t.Errorf("page = %s", body)
	}
	if csp := w.Header().Get("Content-Security-Policy"); !strings.HasPrefix(csp, "default-src 'none'") {
		t.Errorf("policy = %q", csp)
	}
}

// visit sends a request like a visitor's browser, and returns the page for a problem.
func visit(code schema.Code, method string, fields ...string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	r := httptest.NewRequest(method, "/a?b", nil)
	r.Header.Set("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")
	for i := 0; i < len(fields); i += 2 {
		r.Header.Set(fields[i], fields[i+1])
	}
	(&Problem{Code: code, Visitor: true, Handed: claim.HandedNo}).Write(w, r)
	return w
}

func TestThePageOfAMissingHandlerTriesAgain(t *testing.T) {
	for _, method := range []string{"GET", "HEAD"} {
		for _, dest := range []string{"", "document", "iframe", "frame"} {
			w := visit(schema.CodeNoHandler, method, "Sec-Fetch-Dest", dest)
			if got, want := w.Header().Get("Refresh"), w.Header().Get("Retry-After"); got == "" || got != want {
				t.Errorf("%s of a %q: Refresh %q, want %q as in Retry-After", method, dest, got, want)
			}
			body := w.Body.String()
			for _, want := range []string{Detail(schema.CodeNoHandler), "tries again every 5 seconds", `<a href="">`, "<code>503 no_handler</code>"} {
				if !strings.Contains(body, want) {
					t.Errorf("%s of a %q: %q is not in the page:\n%s", method, dest, want, body)
				}
			}
			if strings.Contains(body, "<script") {
				t.Errorf("the page has a script, which its policy forbids:\n%s", body)
			}
		}
	}
}

func TestNothingElseTriesAgain(t *testing.T) {
	check := func(what string, w *httptest.ResponseRecorder) {
		t.Helper()
		if got := w.Header().Get("Refresh"); got != "" || strings.Contains(w.Body.String(), "tries again") || strings.Contains(w.Body.String(), "http-equiv") {
			t.Errorf("%s: Refresh %q, want none:\n%s", what, got, w.Body)
		}
	}
	for code := range kinds {
		if code != schema.CodeNoHandler {
			check(string(code), visit(code, "GET"))
		}
	}
	for _, method := range []string{"POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY"} {
		check(method, visit(schema.CodeNoHandler, method))
	}
	for _, dest := range []string{"empty", "image", "script", "style", "object", "embed", "worker"} {
		check("for "+dest, visit(schema.CodeNoHandler, "GET", "Sec-Fetch-Dest", dest))
	}
	for _, accept := range []string{"*/*", "application/json, text/html", ""} {
		check("Accept "+accept, visit(schema.CodeNoHandler, "GET", "Accept", accept))
	}
	w := httptest.NewRecorder()
	r := httptest.NewRequest("GET", "/claims/demo", nil)
	r.Header.Set("Accept", "text/html")
	(&Problem{Code: schema.CodeNoHandler}).Write(w, r)
	check("a program", w)
}

func TestTheTypeLinksToTheCode(t *testing.T) {
	const page = "https://gateway.example/guides/errors"
	guide := NewGuide(page)
	for code := range kinds {
		r := httptest.NewRequest("GET", "/", nil)
		for of, r := range map[string]*http.Request{"of the port": r.WithContext(guide.In(r.Context())), "unknown": guide.Unknown()} {
			w := httptest.NewRecorder()
			New(code, "").Write(w, r)
			var body schema.Problem
			if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil || body.Type != page+"#"+string(code) {
				t.Errorf("%s, request %s: type = %q, %v", code, of, body.Type, err)
			}
		}
		r.Header.Set("Accept", "text/html")
		w := httptest.NewRecorder()
		(&Problem{Code: code, Visitor: true}).Write(w, r.WithContext(guide.In(r.Context())))
		if want := `<a href="` + page + "#" + string(code) + `">`; !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: the page has no %s:\n%s", code, want, w.Body)
		}
	}
}

func TestWithoutAGuideThereIsNoType(t *testing.T) {
	var none *Guide
	r := httptest.NewRequest("GET", "/", nil)
	for of, r := range map[string]*http.Request{"of a port": r.WithContext(none.In(r.Context())), "unknown": none.Unknown(), "of nobody": r} {
		w := httptest.NewRecorder()
		New(schema.CodeNoClaim, "").Write(w, r)
		if strings.Contains(w.Body.String(), `"type"`) {
			t.Errorf("request %s: %s has a type", of, w.Body)
		}
	}
	if w := visit(schema.CodeNoClaim, "GET"); strings.Contains(w.Body.String(), "<a ") {
		t.Errorf("the page has a link:\n%s", w.Body)
	}
}

func TestTroubleshootingHasTheStatusOfEachCode(t *testing.T) {
	guide, err := os.ReadFile("../../web/guides/errors.md")
	if err != nil {
		t.Fatal(err)
	}
	for code, k := range kinds {
		if want := fmt.Sprintf("\n### %s\n\nStatus %d. ", code, k.status); !strings.Contains(string(guide), want) {
			t.Errorf("the guide has no %q", want)
		}
	}
}

func TestAProblemHasNoHandedIfAHandlerMayHaveHadTheRequest(t *testing.T) {
	for want, ctx := range map[string]context.Context{"handed=?0": context.Background(), "": MaybeHanded(context.Background())} {
		w := httptest.NewRecorder()
		r := httptest.NewRequest("POST", "/", nil).WithContext(ctx)
		(&Problem{Code: schema.CodeNoHandler, Visitor: true, Handed: claim.HandedNo}).Write(w, r)
		if got := w.Header().Get("Proxy-Status"); strings.Contains(got, "handed") != (want != "") || !strings.Contains(got, want) {
			t.Errorf("Proxy-Status = %q, want %q in it", got, want)
		}
	}
}
