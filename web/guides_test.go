package web

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestGuidesAreRenderedAsCodeHostsDo(t *testing.T) {
	g, err := renderGuide([]byte("# The `label_taken` *code*, twice\n\nA [way](other.md#here-1)\nto go.\n\n## Twice\n\n## Twice\n\n" +
		"<script>alert(1)</script>\n\n[x](javascript:alert(1)) [page](http://localhost:8080/inbox) [server/README.md](../../server/README.md#x) [up](#twice) [index](README.md)\n\n" +
		"```sh run\ncat <a.txt\n```\n\n| a | b |\n| --- | ---: |\n| 1 | 2 |\n"))
	if err != nil {
		t.Fatal(err)
	}
	if g.Title != "The label_taken code, twice" || g.Summary != "A way to go." {
		t.Errorf("title %q, summary %q", g.Title, g.Summary)
	}
	for _, want := range []string{
		`<h1 id="the-label_taken-code-twice">`, `<h2 id="twice">`, `<h2 id="twice-1">`, `href="/guides/other#here-1"`,
		`href="/inbox"`, ` server/README.md `, `href="#twice"`, `href="/guides"`, "cat &lt;a.txt\n", `tabindex="0"`, "<td>2</td>",
	} {
		if !strings.Contains(string(g.Body), want) {
			t.Errorf("no %s in %s", want, g.Body)
		}
	}
	for _, not := range []string{"<script", "javascript:", "../", "style="} {
		if strings.Contains(string(g.Body), not) {
			t.Errorf("%s in %s", not, g.Body)
		}
	}
}

func TestTroubleshootingHasEachCodeOfTheSchema(t *testing.T) {
	content, err := os.ReadFile("../schema/problem.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var s struct {
		Defs map[string]struct{ Enum []string } `json:"$defs"`
	}
	if err := json.Unmarshal(content, &s); err != nil {
		t.Fatal(err)
	}
	source, err := guideFiles.ReadFile("guides/errors.md")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range regexp.MustCompile(`(?m)^### (.*)$`).FindAllSubmatch(source, -1) {
		got = append(got, string(m[1]))
	}
	want := slices.Clone(s.Defs["code"].Enum)
	if slices.Sort(want); len(want) == 0 {
		t.Fatal("the schema has no codes")
	}
	if slices.Sort(got); !slices.Equal(got, want) {
		t.Errorf("headings %v, want the codes %v", got, want)
	}
	_, page := get(t, served(t)["/guides/errors"], "GET")
	for _, code := range want {
		if !strings.Contains(page, `<h3 id="`+code+`">`) {
			t.Errorf("the page has no anchor %s", code)
		}
	}
}
