package main

import (
	"bytes"
	"os"
	"testing"
)

func TestGeneratedTypesAreCurrent(t *testing.T) {
	t.Chdir("..")
	files, err := generate(".")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		got, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s is not what the schemas say: run go generate ./schema", name)
		}
	}
}

func TestUnknownConstructsAreRefused(t *testing.T) {
	for _, schema := range []string{
		`{"$defs":{"a":{"description":"A","type":"object","properties":{"b":{"description":"B","type":"string","dependentRequired":{}}}}}}`,
		`{"$defs":{"a":{"description":"A","type":"object","properties":{"b":{"description":"B","type":"number"}}}}}`,
		`{"$defs":{"a":{"description":"A","type":"object","properties":{"b":{"description":"B","$ref":"other.json#/c"}}}}}`,
		`{"$defs":{"a":{"description":"A","type":"object","properties":{"b":{"type":"string"}}}}}`,
		`{"$defs":{"a":{"description":"A","type":"integer"}}}`,
	} {
		file := t.TempDir() + "/a.json"
		if err := os.WriteFile(file, []byte(schema), 0o600); err != nil {
			t.Fatal(err)
		}
		defs, err := load(file)
		if err != nil {
			continue
		}
		if _, err := goTypes(defs); err == nil {
			t.Errorf("Go types of %s: no error", schema)
		}
		if _, err := tsTypes(defs); err == nil {
			t.Errorf("TypeScript types of %s: no error", schema)
		}
	}
}
