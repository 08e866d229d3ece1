package problem

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"reversehttp/schema"
)

func TestNoCharacterChangesTheDirectionOfThePage(t *testing.T) {
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Accept", "text/html")
	for _, c := range turning {
		w := httptest.NewRecorder()
		(&Problem{Code: schema.CodeBadRequest, Detail: "a" + string(c) + "b", Visitor: true}).Write(w, r)
		if got := w.Body.String(); w.Result().StatusCode != http.StatusBadRequest || strings.ContainsRune(got, c) || !strings.Contains(got, `a\u{`) {
			t.Errorf("%U is on the page as it is:\n%s", c, got)
		}
	}
	for _, same := range []string{"שלום مرحبا é", "\xff\u200b", ""} {
		if got := visible(same); got != same {
			t.Errorf("%q became %q", same, got)
		}
	}
	if n := len([]rune(turning)); n != 12 {
		t.Errorf("%d characters turn, want the 12 of Unicode", n)
	}
}
