package trace

import (
	"regexp"
	"strings"
	"testing"

	"reversehttp/server/claim"
)

const good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

var form = regexp.MustCompile(`^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$`)

func TestAValidTraceparentPasses(t *testing.T) {
	rest := good[2:]
	for sent, want := range map[string]string{
		good:                               good,
		"00" + rest[:len(rest)-2] + "ff":   "00" + rest[:len(rest)-2] + "ff",
		"cc" + rest:                        good,
		"cc" + rest + "-what-comes-later":  good,
		"01" + rest[:len(rest)-2] + "0a":   "00" + rest[:len(rest)-2] + "02",
		"01" + rest[:len(rest)-2] + "f7-x": "00" + rest[:len(rest)-2] + "03",
	} {
		if got := valid(sent); got != want {
			t.Errorf("%s = %q, want %q", sent, got, want)
		}
	}
}

func TestAnInvalidTraceparentDoesNotCount(t *testing.T) {
	for _, sent := range []string{
		"", "0", good[:54], good + "-", good + "-00", good + "0", "ff" + good[2:], "0x" + good[2:], "cc" + good[2:] + "x",
		strings.ToUpper(good), strings.Replace(good, "0af7651916cd43dd8448eb211c80319c", strings.Repeat("0", 32), 1),
		strings.Replace(good, "b7ad6b7169203331", strings.Repeat("0", 16), 1), strings.Replace(good, "-01", "-0g", 1),
		strings.Replace(good, "b7ad", "b7a\n", 1), strings.Replace(good, "-b7", "_b7", 1), good[:52] + "--1",
	} {
		if got := valid(sent); got != "" {
			t.Errorf("%q = %q, want none", sent, got)
		}
	}
}

func TestTracestateBelongsToAValidTraceparent(t *testing.T) {
	field := func(name, value string) claim.Field { return claim.Field{Name: name, Value: value} }
	long := func(n int) string { return "k=" + strings.Repeat("v", n-2) }
	for name, c := range map[string]struct {
		fields        []claim.Field
		parent, state string
	}{
		"none":              {nil, "", ""},
		"one":               {[]claim.Field{field("Traceparent", good), field("Tracestate", "a=1, b=2")}, good, "a=1, b=2"},
		"several lines":     {[]claim.Field{field("Traceparent", good), field("Tracestate", "a=1"), field("Tracestate", "b=2"), field("Tracestate", "c=3")}, good, "a=1,b=2,c=3"},
		"without parent":    {[]claim.Field{field("Tracestate", "a=1")}, "", ""},
		"invalid parent":    {[]claim.Field{field("Traceparent", good+"x"), field("Tracestate", "a=1")}, "", ""},
		"two parents":       {[]claim.Field{field("Traceparent", good), field("Traceparent", good), field("Tracestate", "a=1")}, "", ""},
		"not ASCII":         {[]claim.Field{field("Traceparent", good), field("Tracestate", "a=\xc3\xa9")}, good, ""},
		"at the bound":      {[]claim.Field{field("Traceparent", good), field("Tracestate", long(512))}, good, long(512)},
		"a large member":    {[]claim.Field{field("Traceparent", good), field("Tracestate", "a=1,"+long(600)+",b=2")}, good, "a=1,b=2"},
		"too many members":  {[]claim.Field{field("Traceparent", good), field("Tracestate", strings.Repeat(long(127)+",", 5)+"b=2")}, good, strings.TrimSuffix(strings.Repeat(long(127)+",", 4), ",")},
		"nothing but large": {[]claim.Field{field("Traceparent", good), field("Tracestate", long(513))}, good, ""},
	} {
		parent, state := of(c.fields)
		if parent != c.parent || state != c.state {
			t.Errorf("%s: %q %q, want %q %q", name, parent, state, c.parent, c.state)
		}
	}
}

func TestATraceBeginsWhereTheVisitorHasNone(t *testing.T) {
	seen := map[string]bool{}
	for begin, flags := range map[Begin]string{Sampled: "03", Unsampled: "02"} {
		for range 100 {
			r := claim.Request{Fields: []claim.Field{{Name: "Traceparent", Value: "odd"}, {Name: "Tracestate", Value: "a=1"}}}
			begin.Set(&r)
			if p := r.Traceparent; !form.MatchString(p) || !strings.HasSuffix(p, "-"+flags) || valid(p) != p || seen[ID(p)] || r.Tracestate != "" {
				t.Fatalf("%s: %q %q", begin, p, r.Tracestate)
			}
			seen[ID(r.Traceparent)] = true
		}
	}
	r := claim.Request{Fields: []claim.Field{{Name: "Traceparent", Value: "odd"}}}
	if None.Set(&r); r.Traceparent != "" || ID(r.Traceparent) != "" {
		t.Errorf("%s: %q", None, r.Traceparent)
	}
	r.Fields[0].Value = good
	if None.Set(&r); r.Traceparent != good || ID(good) != "0af7651916cd43dd8448eb211c80319c" {
		t.Errorf("%s: %q, want what the visitor sent", None, r.Traceparent)
	}
}

func FuzzTraceparent(f *testing.F) {
	f.Add(good)
	f.Add("cc" + good[2:] + "-more")
	f.Fuzz(func(t *testing.T, sent string) {
		got := valid(sent)
		if got == "" {
			return
		}
		if !form.MatchString(got) || sent[2:52] != got[2:52] {
			t.Errorf("%q = %q", sent, got)
		}
	})
}

func BenchmarkSet(b *testing.B) {
	for name, fields := range map[string][]claim.Field{
		"begins": {{Name: "Host"}, {Name: "Accept"}, {Name: "Accept-Encoding"}, {Name: "Cdn-Loop"}, {Name: "Forwarded"}, {Name: "User-Agent"}, {Name: "Via"}, {Name: "X-Forwarded-For"}},
		"passes": {{Name: "Host"}, {Name: "Accept"}, {Name: "Traceparent", Value: good}, {Name: "Tracestate", Value: "a=1"}},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			r := claim.Request{Fields: fields}
			for b.Loop() {
				Sampled.Set(&r)
			}
		})
	}
}
