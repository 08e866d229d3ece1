package admission

import (
	_ "embed"
	"slices"
	"strings"
)

// Brands are names that labels of strangers must not contain. Nil has none.
type Brands struct {
	anywhere, words []brand
}

// brand is a name and its skeleton.
type brand struct {
	name string
	skeleton
}

//go:embed brands.txt
var brands string

// NewBrands returns the names in brands.txt.
func NewBrands() *Brands {
	b := &Brands{}
	for line := range strings.Lines(brands) {
		line = strings.TrimSpace(line)
		name, whole := strings.CutPrefix(line, "=")
		switch {
		case line == "" || line[0] == '#':
		case whole:
			b.words = append(b.words, brand{name, looksOf(name)})
		default:
			b.anywhere = append(b.anywhere, brand{name, looksOf(name)})
		}
	}
	return b
}

// letters replaces characters that look like another letter. pairs then replaces two letters that
// look like one; an l in a pair may have been a 1. Characters that look alike map to the same
// letter.
var (
	letters = strings.NewReplacer("0", "o", "1", "l", "i", "l", "j", "l", "3", "e", "4", "a", "5", "s", "6", "b", "7", "t", "8", "b", "9", "g", "2", "z", "q", "g")
	pairs   = strings.NewReplacer("rn", "m", "nn", "m", "vv", "w", "uu", "w", "cl", "d")
)

// skeleton is a name with characters that look alike made equal: first with pairs of letters kept,
// since a pair may begin before the name, then with pairs replaced.
type skeleton [2]string

// looksOf returns the skeleton of a name. Names that look alike have one form of it in common.
func looksOf(name string) skeleton {
	looks := letters.Replace(strings.ReplaceAll(name, "-", ""))
	return skeleton{looks, pairs.Replace(looks)}
}

// has reports whether a name contains another, or looks as if it did.
func (s skeleton) has(other skeleton) bool {
	return strings.Contains(s[0], other[0]) || strings.Contains(s[1], other[1])
}

// In returns the brand that a label contains or seems to contain, or "".
func (b *Brands) In(label string) (name string) {
	if b == nil {
		return ""
	}
	looks := looksOf(label)
	for _, one := range b.anywhere {
		if looks.has(one.skeleton) {
			return one.name
		}
	}
	var words []string
	for _, word := range append(strings.Split(label, "-"), label) {
		words = append(words, looksOf(word)[1])
	}
	for _, one := range b.words {
		if slices.Contains(words, one.skeleton[1]) {
			return one.name
		}
	}
	return ""
}
