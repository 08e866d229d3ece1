package field

import (
	"strings"
	"testing"

	"reversehttp/schema"
)

func TestAHandlerCannotSpeakInTheGatewaysName(t *testing.T) {
	for status, want := range map[string]bool{
		"reversehttp; error=destination_unavailable; handed=?0": true, "a, reversehttp": true, `"reversehttp"; handed=?0`: true,
		"a;b=1 ,\tReverseHttp;handed=?1": true, `a; details="no, reversehttp"`: true, "reverse-http": false, "": false, "cache; hit": false,
	} {
		if got := Forges(status); got != want {
			t.Errorf("forges(%q) = %v, want %v", status, got, want)
		}
	}
}

func TestFieldsOfAnAnswerAreBounded(t *testing.T) {
	one := schema.Field{"ab", "cdé"} // nine bytes as a line, é being one of them
	for _, c := range []struct {
		fields      []schema.Field
		most, bytes int
		good        bool
	}{
		{nil, 0, 0, true},
		{[]schema.Field{one, one}, 2, 18, true},
		{[]schema.Field{one, one}, 1, 18, false},
		{[]schema.Field{one, one}, 2, 17, false},
		{[]schema.Field{{"a", strings.Repeat("b", 65_531)}}, 256, 65_536, true},
		{[]schema.Field{{"a", strings.Repeat("b", 65_532)}}, 256, 65_536, false},
		{make([]schema.Field, 256), 256, 65_536, true},
		{make([]schema.Field, 257), 256, 65_536, false},
	} {
		if why := FaultOfAll(c.fields, c.most, c.bytes); (why == "") != c.good {
			t.Errorf("%d fields, bounds %d and %d: %q, want good: %v", len(c.fields), c.most, c.bytes, why, c.good)
		}
	}
}
