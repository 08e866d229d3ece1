package reversehttp

import (
	"net/http"
	"strings"
	"testing"
)

func TestFieldsAreWrittenAsByNetHTTP(t *testing.T) {
	h := http.Header{
		"B": {"2", "1"}, "A": {" x\r\ny\t"}, "Trailer:X": {"t"}, "Bad Name": {"x"}, "": {"x"}, "Content-Length": {"7"}, "Z~": nil,
	}
	got := string(appendHeader(nil, h, func(name string) bool { return strings.HasPrefix(name, http.TrailerPrefix) }))
	if want := `["A","x  y"],["B","2"],["B","1"]`; got != want {
		t.Errorf("fields = %s, want %s", got, want)
	}
}
