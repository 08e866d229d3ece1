// Package schema holds the contract between gateways and programs: the JSON schemas, the types
// generated from them, and the test vectors that every implementation must pass. README.md beside
// it is the normative text.
package schema

import "embed"

//go:generate go run ./gen

// FS holds the schemas, and the test vectors in the folder vectors.
//
//go:embed *.schema.json vectors/*.json
var FS embed.FS
