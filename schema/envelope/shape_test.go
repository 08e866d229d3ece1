package envelope

import (
	"strconv"
	"strings"
	"testing"
)

// members returns an object with n members.
func members(n int) string {
	var b strings.Builder
	b.WriteByte('{')
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(`"m` + strconv.Itoa(i) + `":{"a":1}`)
	}
	return b.String() + "}"
}

func TestExcessiveShapesAreRefused(t *testing.T) {
	deep := func(n int) string { return strings.Repeat(`[`, n) + strings.Repeat(`]`, n) }
	for name, c := range map[string]struct {
		json string
		ok   bool
	}{
		"nothing":                       {"", true},
		"as deep as may be":             {deep(MostDepth), true},
		"deeper":                        {deep(MostDepth + 1), false},
		"deep, of objects":              {strings.Repeat(`{"a":`, MostDepth+1), false},
		"deep, never closed":            {strings.Repeat(`[`, 1_000_000), false},
		"as many members as may be":     {members(MostMembers), true},
		"more members":                  {members(MostMembers + 1), false},
		"more members, in a list":       {`[[1],` + members(MostMembers+1) + `]`, false},
		"many objects of few members":   {`[` + strings.Repeat(`{"a":1,"b":2},`, 10_000) + `0]`, true},
		"brackets and colons in a text": {`{"a":"` + strings.Repeat(`[{:\"`, 1_000) + `"}`, true},
		"a text that ends in escapes":   {`{"a":"\\\\","b":` + deep(MostDepth) + `}`, false},
		"an end of a text is no escape": {`["\\",` + deep(MostDepth) + `]`, false},
		"a text without an end":         {`["` + strings.Repeat(`[`, 100), true},
		"more ends than begins":         {strings.Repeat(`]`, 100) + deep(MostDepth), true},
	} {
		t.Run(name, func(t *testing.T) {
			err := CheckShape([]byte(c.json))
			if (err == nil) != c.ok {
				t.Errorf("refused: %v, want it taken: %v", err, c.ok)
			}
			if _, got := DecodeAnswers([]byte(c.json), 1, 1); err != nil && got != err {
				t.Errorf("decoding it: %v, want %v", got, err)
			}
		})
	}
}
