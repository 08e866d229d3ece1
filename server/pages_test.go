package main

import (
	"slices"
	"strings"
	"testing"

	"reversehttp/server/admission"
	"reversehttp/web"
)

// ask.example would be read as the page at example/ask.
func TestNamesOfPagesAreReservedLabels(t *testing.T) {
	pages, err := web.Pages()
	if err != nil {
		t.Fatal(err)
	}
	names := 0
	for path := range pages {
		name, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
		if name == "" || strings.Contains(name, ".") {
			continue // the console, or a file that is no label
		}
		names++
		if !slices.Contains(admission.Reserved, name) {
			t.Errorf("%s is a page, and %s is no reserved label", path, name)
		}
	}
	if names < 6 {
		t.Errorf("%d names of pages, want hello, playground, inbox, ask, status and vendor at least", names)
	}
}
