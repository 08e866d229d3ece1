package schema_test

import (
	"bytes"
	"io/fs"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"reversehttp/schema"
)

// compiler returns a compiler with every schema of this folder. It checks each against the
// metaschema of 2020-12.
func compiler(t *testing.T) *jsonschema.Compiler {
	t.Helper()
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	names, err := fs.Glob(schema.FS, "*.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range append(names, "vectors/vectors.schema.json") {
		doc := read(t, name)
		id, ok := doc.(map[string]any)["$id"].(string)
		if !ok {
			t.Fatalf("%s has no $id", name)
		}
		if err := c.AddResource(id, doc); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	return c
}

func read(t *testing.T, name string) any {
	t.Helper()
	b, err := schema.FS.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return doc
}

func TestSchemasAreValid(t *testing.T) {
	for _, id := range []string{"reversehttp:envelope", "reversehttp:control", "reversehttp:problem", "reversehttp:vectors"} {
		if _, err := compiler(t).Compile(id); err != nil {
			t.Errorf("%s: %v", id, err)
		}
	}
}
