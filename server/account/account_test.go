package account

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var key = "sha256:" + strings.Repeat("0a", 32)

func TestAnInvalidFileIsRefused(t *testing.T) {
	for content, want := range map[string]string{
		``:     "not accounts",
		`null`: "",
		`[]`:   "not accounts",
		`{"accounts":[{"name":"ann","label":["ann"]}]}`:                                                    "unknown",
		`{"accounts":[{"name":"ann"}],"stranger":false}`:                                                   "unknown",
		`{"accounts":[{"name":"ann"},{"name":"ann"}]}`:                                                     "same name",
		`{"accounts":[{"name":"a:b"}]}`:                                                                    "the name",
		`{"accounts":[{"name":""}]}`:                                                                       "the name",
		`{"accounts":[null]}`:                                                                              "null",
		`{"accounts":[{"name":"ann","keys":["rhk_clear"]}]}`:                                               "a key is not",
		`{"accounts":[{"name":"ann","keys":["sha256:00"]}]}`:                                               "a key is not",
		`{"accounts":[{"name":"ann","keys":["` + key + `"]},{"name":"bob","keys":["` + key + `"]}]}`:       "in common",
		`{"accounts":[{"name":"ann","keys":["` + strings.Replace(key, "0a", "0A", 1) + `"],"labels":[]}]}`: "a key is not",
		`{"accounts":[{"name":"ann","labels":["Ann"]}]}`:                                                   "the pattern",
		`{"accounts":[{"name":"ann","labels":["a[b]"]}]}`:                                                  "the pattern",
		`{"accounts":[{"name":"ann","longestLease":31536001}]}`:                                            "longestLease",
		`{"accounts":[{"name":"ann","longestLease":31536000,"keys":["` + key + `"],"labels":["ann-*"]}]}`:  "",
	} {
		_, err := Parse([]byte(content))
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", content, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "rhk_clear") {
			t.Errorf("%s: the error has the key: %v", content, err)
		}
	}
}

func TestLabelsOfAnAccountAreItsOwn(t *testing.T) {
	a, err := Parse([]byte(`{"accounts":[{"name":"ann","labels":["ann","ann-*"]},{"name":"ci","labels":["*-ci"]}]}`))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, label string
		may         bool
	}{
		{"", "ann", false}, {"", "ann-", false}, {"", "ann-1", false}, {"", "anna", true}, {"", "x-ann-1", true}, {"", "a-ci", false},
		{"ann", "ann", true}, {"ann", "ann-ci", true}, {"ci", "ann-ci", true}, {"ci", "ann", false}, {"ann", "b-ci", false}, {"bob", "bob", true},
	} {
		if got := a.May(c.name, c.label); got != c.may {
			t.Errorf("%q may claim %q: %v, want %v", c.name, c.label, got, c.may)
		}
	}
	var none *Accounts
	if !none.May("", "ann") || !none.Strangers() || none.ByKey("k") != nil {
		t.Error("without a file a label is not everybody's")
	}
}

// A label is looked up rather than compared with each pattern, since strangers cause that as often
// as they claim.
func TestALabelIsFoundAmongManyPatternsQuickly(t *testing.T) {
	var text strings.Builder
	text.WriteString(`{"accounts":[{"name":"loose","labels":["*-ci","**","x*y*z"]}`)
	for n := range 900 {
		fmt.Fprintf(&text, `,{"name":"n%d","labels":["n%[1]d","n%[1]d-*"]}`, n)
	}
	a, err := Parse([]byte(text.String() + `]}`))
	if err != nil {
		t.Fatal(err)
	}
	most := 0
	for before := range a.patterns {
		most = max(most, len(a.patterns[before]))
	}
	if most > 3 || !a.May("n7", "n7-a") || a.May("n7", "n8-a") || !a.May("loose", "x1y2z") || !a.May("n899", "n899") || a.May("", "anything") {
		t.Errorf("%d patterns begin alike, or a label is not its owner's", most)
	}
	text.Reset()
	text.WriteString(`{"accounts":[{"name":"ann","labels":["*-a"]}`)
	for n := range mostAlike {
		fmt.Fprintf(&text, `,{"name":"n%d","labels":["*-%[1]d"]}`, n)
	}
	if _, err := Parse([]byte(text.String() + `]}`)); err == nil || !strings.Contains(err.Error(), "before their first *") {
		t.Errorf("more patterns than a label is compared with: %v", err)
	}
}

func TestAKeyIsRecognisedByItsHash(t *testing.T) {
	minted := NewKey()
	a, err := Parse([]byte(`{"accounts":[{"name":"ann","keys":["` + Hash(minted) + `"]}],"strangers":false}`))
	if err != nil {
		t.Fatal(err)
	}
	if one := a.ByKey(minted); one == nil || one.Name != "ann" {
		t.Errorf("the key of ann is %v's", one)
	}
	if a.ByKey(Hash(minted)) != nil || a.ByKey("") != nil || a.ByKey(minted[:len(minted)-1]) != nil {
		t.Error("the hash, nothing or a part counts as the key")
	}
	if a.Strangers() || mistyped(minted) || !mistyped(minted[:20]) || mistyped("sesame") {
		t.Error("strangers may claim, or a key is not known for one that was cut")
	}
}

func TestAKeyIsAddedToAFileAndNothingElseChanges(t *testing.T) {
	path := filepath.Join(t.TempDir(), "accounts.json")
	before := `{"accounts":[{"name":"bob","labels":["bob"],"longestLease":3600}],"strangers":false}`
	if err := os.WriteFile(path, []byte(before), 0o640); err != nil {
		t.Fatal(err)
	}
	if err := AddKey(path, "bob", key, []string{"bob", "b-*"}); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	a, err := Parse(content)
	if err != nil {
		t.Fatal(err)
	}
	bob := a.Named("bob")
	if a.Strangers() || bob == nil || bob.LongestLease != 3600 || len(bob.Keys) != 1 || strings.Join(bob.Labels, " ") != "bob b-*" {
		t.Errorf("the file is now %s", content)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("its mode is %v, %v", info.Mode(), err)
	}
}

func TestTheAccountsWhoseKeysChangedAreReported(t *testing.T) {
	parse := func(text string) *Accounts {
		a, err := Parse([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	one, two := Hash("one"), Hash("two")
	was := parse(`{"accounts":[{"name":"ann","keys":["` + one + `"]},{"name":"bob","keys":["` + two + `"]},{"name":"cy"}]}`)
	is := parse(`{"accounts":[{"name":"ann","keys":["` + one + `"],"labels":["ann"]},{"name":"dee","keys":["` + two + `"]},{"name":"cy"}]}`)
	if got := KeysChanged(was, is); !slices.Equal(got, []string{"bob", "dee"}) {
		t.Errorf("changed: %v, want bob and dee", got)
	}
	if got := KeysChanged(is, is); got != nil {
		t.Errorf("changed: %v, want none", got)
	}
	if got := KeysChanged(nil, was); !slices.Equal(got, []string{"ann", "bob"}) {
		t.Errorf("changed from none: %v, want ann and bob", got)
	}
}
