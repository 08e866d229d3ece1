package admission

import (
	_ "embed"
	"slices"
	"strings"
)

// Brands are names that strangers may not have in a label. Nil has none.
type Brands struct {
	anywhere, words []brand
}

// brand is a name, and how it looks.
type brand struct {
	name string
	skeleton
}

//go:embed brands.txt
var brands string

// NewBrands returns those of brands.txt.
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

// letters are characters that look like another letter, and pairs are two letters that look like one, once letters are replaced: l in one
// may have been 1. Of two that are alike each is compared as the first.
var (
	letters = strings.NewReplacer("0", "o", "1", "l", "i", "l", "j", "l", "3", "e", "4", "a", "5", "s", "6", "b", "7", "t", "8", "b", "9", "g", "2", "z", "q", "g")
	pairs   = strings.NewReplacer("rn", "m", "nn", "m", "vv", "w", "uu", "w", "cl", "d")
)

// skeleton is how a name looks, with pairs as they are, which may begin before it, and as one letter.
type skeleton [2]string

// looksOf returns the skeleton of a name: names that look alike have one in common.
func looksOf(name string) skeleton {
	looks := letters.Replace(strings.ReplaceAll(name, "-", ""))
	return skeleton{looks, pairs.Replace(looks)}
}

// has reports whether a name has another in it, or looks as if it had.
func (s skeleton) has(other skeleton) bool {
	return strings.Contains(s[0], other[0]) || strings.Contains(s[1], other[1])
}

// In returns the name that a label has, or looks as if it had; "" where it has none.
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
