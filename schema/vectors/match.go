package vectors

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"reversehttp/schema"
)

// DiffFields returns how fields differ from what is expected, or "". The values of each name in
// want must be those in got, in their order; "*" stands for any value. The names in absent must not
// be in got.
func DiffFields(want []schema.Field, absent []string, got []schema.Field, vars map[string]string) string {
	for _, name := range absent {
		if v := values(got, name); len(v) > 0 {
			return fmt.Sprintf("field %s = %q, want it absent", name, v)
		}
	}
	for _, f := range want {
		g, w := values(got, f[0]), values(want, f[0])
		for i := range w {
			w[i] = Fill(w[i], vars)
		}
		if !slices.EqualFunc(w, g, func(w, g string) bool { return w == "*" || w == g }) {
			return fmt.Sprintf("field %s = %q, want %q", f[0], g, w)
		}
	}
	return ""
}

func values(fields []schema.Field, name string) []string {
	var v []string
	for _, f := range fields {
		if strings.EqualFold(f[0], name) {
			v = append(v, f[1])
		}
	}
	return v
}

// DiffJSON returns how the JSON text got differs from want, or "". Every member named in want must
// be equal; "*" is anything present, null is absent, and arrays have the same length. Strings of
// want are filled from vars.
func DiffJSON(want any, got []byte, vars map[string]string) string {
	var g any
	if err := json.Unmarshal(got, &g); err != nil {
		return fmt.Sprintf("not JSON: %v: %q", err, short(got))
	}
	return diff("", want, g, vars)
}

func diff(at string, want, got any, vars map[string]string) string {
	mismatch := func() string { return fmt.Sprintf("%s = %s, want %s", place(at), text(got), text(want)) }
	switch w := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok {
			return mismatch()
		}
		for name, wv := range w {
			gv, there := g[name]
			here := at + "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
			switch {
			case wv == nil && there:
				return fmt.Sprintf("%s = %s, want it absent", place(here), text(gv))
			case wv == nil:
			case !there:
				return fmt.Sprintf("%s is absent, want %s; there is %s", place(here), text(wv), text(got))
			default:
				if d := diff(here, wv, gv, vars); d != "" {
					return d
				}
			}
		}
		return ""
	case []any:
		g, ok := got.([]any)
		if !ok || len(g) != len(w) {
			return mismatch()
		}
		for i := range w {
			if d := diff(fmt.Sprintf("%s/%d", at, i), w[i], g[i], vars); d != "" {
				return d
			}
		}
		return ""
	case string:
		if w == "*" && got != nil || got == any(Fill(w, vars)) {
			return ""
		}
		return mismatch()
	}
	if reflect.DeepEqual(want, got) {
		return ""
	}
	return mismatch()
}

func place(pointer string) string {
	if pointer == "" {
		return "JSON"
	}
	return pointer
}

func text(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(short(b))
}
