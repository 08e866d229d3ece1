package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Phrases that read as if translated, and so must not come back. Each is written in lower case, and
// is looked for in a text whose line breaks and marks of comments are single spaces.
var (
	// inDocuments may not be in a document. In code they are also names, as in c.tells(e).
	inDocuments = phrases(
		` tells `,               // reports whether, returns, has
		` hears?\b`,             // gets
		`[,;.:] else `,          // otherwise
		` (?:does|do) without `, // does not need
		` who (?:polls|looks|reads|shows a|asks)\b`,
		` as (?:it|they) stands?\b`, // unchanged
		` the visitor takes `,       // reads
	)
	// everywhere may be in no document, comment, log line or text.
	everywhere = phrases(
		` (?:is|are|be|been|being|was|were) told\b`, // returns, reports, gets; or name the actor
		` tells (?:whether|how|what|which|where|why|who|that|of|nothing|nobody|neither|its?|about) `,
		` hears (?:of|from|that|whether|how|what|why|by|it|nothing|so|when)\b`,
		` to hear (?:of|that|whether|how|what|why)\b`,
		` whoever `, // clients that …
		` gives (?:what|whether|nothing|how|which|neither) `, // returns, reports whether
		` besides[,.;:)]`,                // also, in addition to
		` he (?:has|is|was|sent|left)\b`, // they, for a visitor
		` his `,
		` as ever\b`,                              // as usual
		` (?:is|are|was|were) taken for `,         // counts as
		` what (?:comes|came|becomes|became) of `, // the result of
		` that (?:is|are) none\b`,                 // is invalid
		` something between `,                     // an intermediary
		` lets nobody `,                           // admits nobody, stops …
		` for who (?:does|do|reads|polls|looks|waits|wants|shows)\b`, // for handlers that …
		` (?:who|whoever) (?:was|were) let in `,                      // accepted clients
		` whoever looks `,
		` sends whoever `,
		` (?:so that|this) who `,
		` in a time (?:that|which) `, // in constant time
		` a byte of it `,             // any byte
		` what comes of it\b`,
		` makes a (?:request|response|message) one for `, // converts … for
		` one for the core\b`,
		` and does without `,                              // otherwise … are unavailable
		` does not let it (?:serve|start|run)\b`,          // cannot serve
		` is no (?:http )?(?:request|response) message\b`, // is not a …
		` wants to be told\b`,
		`, which there (?:is|are) not\b`, // which does not exist
		` that of the one that `,
		` exchanges that ended, since `, // completed exchanges since
	)
)

func phrases(patterns ...string) []*regexp.Regexp {
	var all []*regexp.Regexp
	for _, p := range patterns {
		all = append(all, regexp.MustCompile(p))
	}
	return all
}

func TestPhrasesThatMustNotComeBack(t *testing.T) {
	root, n := os.DirFS(".."), 0
	err := fs.WalkDir(root, ".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir():
			if slices.Contains([]string{"node_modules", "dist", "testdata"}, d.Name()) || path == "web/vendor" || d.Name() != "." && d.Name()[0] == '.' {
				return fs.SkipDir
			}
			return nil
		case !slices.Contains([]string{".md", ".go", ".ts", ".js"}, filepath.Ext(path)) || path == "server/words_test.go":
			return nil
		}
		n++
		content, err := fs.ReadFile(root, path)
		if err != nil {
			return err
		}
		text := prose(string(content))
		forbidden := everywhere
		if filepath.Ext(path) == ".md" {
			forbidden = slices.Concat(everywhere, inDocuments)
		}
		for _, phrase := range forbidden {
			for _, at := range phrase.FindAllStringIndex(text, -1) {
				t.Errorf("%s: …%s… matches %q, which reads as if translated", path, text[max(0, at[0]-40):min(len(text), at[1]+40)], phrase)
			}
		}
		return nil
	})
	if err != nil || n < 300 {
		t.Fatalf("%d files, %v", n, err)
	}
}

// prose returns a text in lower case, with single spaces in place of white space and of the marks of
// comments and quotations at the beginning of a line.
func prose(content string) string {
	words := strings.Fields(strings.ToLower(content))
	words = slices.DeleteFunc(words, func(w string) bool { return slices.Contains([]string{"//", "/*", "/**", "*", "#", ">"}, w) })
	return " " + strings.Join(words, " ") + " "
}

func TestPhrasesAreFoundAcrossLines(t *testing.T) {
	for text, want := range map[string]bool{
		"// next is for who\n// does not read.": true,
		" * It is for who\n * Does not read.":   true,
		"It is for handlers that do not read.":  false,
		"// fits tells\n// whether it fits.":    true,
		"// fits reports\n// whether it fits.":  false,
		" * The visitor is\n * told.":           true,
		"It sends the visitor the reason.":      false,
	} {
		found := slices.ContainsFunc(everywhere, func(p *regexp.Regexp) bool { return p.MatchString(prose(text)) })
		if found != want {
			t.Errorf("%q has such a phrase: %v, want %v", text, found, want)
		}
	}
}
