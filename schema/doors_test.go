package schema_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"reversehttp/schema/vectors"
)

func TestDoorsNameWhatThereIs(t *testing.T) {
	f := vectors.Doors()
	var doors, columns, exchanges []string
	for _, d := range f.Doors {
		doors = append(doors, d.Name)
	}
	for _, c := range f.Columns {
		columns = append(columns, c.Name)
	}
	for _, e := range vectors.Exchanges() {
		exchanges = append(exchanges, e.File+"/"+e.Name)
	}
	known := func(of string, names, among []string) {
		for i, name := range names {
			if !slices.Contains(among, name) || slices.Contains(names[:i], name) {
				t.Errorf("%s names %q, which does not exist, or twice", of, name)
			}
		}
	}
	known("doors", doors, doors)
	used := map[string]bool{}
	for _, c := range f.Cases {
		known(c.Name, []string{c.Column}, columns)
		used[c.Column] = true
		var others []string
		for _, o := range c.Otherwise {
			others = append(others, o.Doors...)
		}
		known(c.Name, others, doors)
	}
	for _, c := range columns {
		if !used[c] {
			t.Errorf("no case tests the column %s", c)
		}
	}
	for _, a := range f.Apart {
		known(a.Why, a.Doors, doors)
		known(a.Why, a.Cases, exchanges)
	}
}

// TestTheTableIsWhatDoorsAreTestedFor compares the table of DOORS.md with doors.json.
func TestTheTableIsWhatDoorsAreTestedFor(t *testing.T) {
	page, err := os.ReadFile("DOORS.md")
	if err != nil {
		t.Fatal(err)
	}
	if want := vectors.Doors().Table(); !strings.Contains(string(page), "\n\n"+want+"\n") {
		t.Errorf("DOORS.md does not have this table:\n\n%s", want)
	}
}
