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

// brand is a name, and how it is compared.
type brand struct{ name, skeleton string }

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
			b.words = append(b.words, brand{name, skeleton(name)})
		default:
			b.anywhere = append(b.anywhere, brand{name, skeleton(name)})
		}
	}
	return b
}

// alike are characters, and pairs, that look like one letter. Of two letters that are alike each is compared as the first.
var alike = strings.NewReplacer(
	"0", "o", "1", "l", "i", "l", "j", "l", "3", "e", "4", "a", "5", "s", "6", "b", "7", "t", "8", "b", "9", "g", "2", "z",
	"rn", "m", "nn", "m", "vv", "w", "uu", "w", "cl", "d", "q", "g",
)

// skeleton returns how a name looks: names that look alike have the same.
func skeleton(name string) string { return alike.Replace(strings.ReplaceAll(name, "-", "")) }

// In returns the name that a label has, or looks as if it had; "" where it has none.
func (b *Brands) In(label string) (name string) {
	if b == nil {
		return ""
	}
	looks := skeleton(label)
	for _, one := range b.anywhere {
		if strings.Contains(looks, one.skeleton) {
			return one.name
		}
	}
	words := append(strings.Split(label, "-"), label)
	for i, word := range words {
		words[i] = skeleton(word)
	}
	for _, one := range b.words {
		if slices.Contains(words, one.skeleton) {
			return one.name
		}
	}
	return ""
}
