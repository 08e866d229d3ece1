package fidelity

import (
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// excluded are the fields of responses that the gateway sets, with the reason.
var excluded = map[string]string{
	"Date": "the clock of its sender",
	"Via":  "RFC 9110, 7.6.3: a gateway adds itself",
	// For streamed events only.
	"Incremental":       "RFC 10036: it asks proxies not to buffer",
	"X-Accel-Buffering": "it asks nginx not to buffer",
}

// sameVerdict sends the request of a row on both ways, and compares the verdicts.
func sameVerdict(t *testing.T, direct, through way, r row) {
	t.Helper()
	want, got := direct.visit(t, r), through.visit(t, r)
	if _, ok := got.fields["Via"]; !ok {
		t.Errorf("%.80q: the response has no Via, so it did not come through the gateway", r.request)
	}
	for _, difference := range differences(got, want, r) {
		t.Errorf("%.80q: %s", r.request, difference)
	}
}

// differences describes how two verdicts differ.
func differences(got, want verdict, r row) (all []string) {
	differ := func(what string, got, want any) {
		g, w := fmt.Sprint(got), fmt.Sprint(want)
		if r.mask != "" {
			mask := regexp.MustCompile(r.mask)
			g, w = mask.ReplaceAllString(g, "…"), mask.ReplaceAllString(w, "…")
		}
		if g != w {
			all = append(all, fmt.Sprintf("%s = %.400q, want %.400q", what, g, w))
		}
	}
	differ("status", got.reason, want.reason)
	differ("ending", got.ending, want.ending)
	got.content = sameBoundary(&got, &want)
	differ("content", got.content, want.content)
	// net/http sends no length with long or flushed content. The gateway may send one, if it is correct.
	if want.length < 0 && got.length == int64(len(got.content)) && r.method() != http.MethodHead {
		delete(got.fields, "Content-Length")
	} else {
		differ("length", got.length, want.length)
		differ("coding", got.coding, want.coding)
	}
	for _, name := range names(got.fields, want.fields) {
		if _, ok := excluded[name]; !ok && !slices.Contains(r.differs, name) {
			differ("field "+name, lines(got.fields[name]), lines(want.fields[name]))
		}
	}
	for _, name := range names(got.trailers, want.trailers) {
		differ("trailer "+name, lines(got.trailers[name]), lines(want.trailers[name]))
	}
	return all
}

func names(a, b http.Header) []string {
	all := maps.Clone(a)
	if all == nil {
		all = http.Header{}
	}
	maps.Copy(all, b)
	return slices.Sorted(maps.Keys(all))
}

// lines formats the values of a field so that one value with a comma differs from two values.
func lines(values []string) string {
	quoted := make([]string, len(values))
	for i, v := range values {
		quoted[i] = strconv.Quote(v)
	}
	return strings.Join(quoted, " ")
}

// sameBoundary returns got's content with the boundary of want, because boundaries are random.
func sameBoundary(got, want *verdict) string {
	boundary := func(v *verdict) string {
		_, b, _ := strings.Cut(v.fields.Get("Content-Type"), "multipart/byteranges; boundary=")
		return b
	}
	g, w := boundary(got), boundary(want)
	if g == "" || w == "" {
		return got.content
	}
	got.fields.Set("Content-Type", strings.Replace(got.fields.Get("Content-Type"), g, w, 1))
	return strings.ReplaceAll(got.content, g, w)
}
