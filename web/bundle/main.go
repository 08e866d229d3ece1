// Command bundle makes the files of web/vendor: the libraries that pages need from npm, each as one module
// with its licences beside it. A gateway embeds these files, so building and running one needs no npm.
//
//	npm ci && go generate ./web
//
// To add a library, pin its version in package.json and add a line to libraries.
package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

// libraries maps the name of each module to its exports. The same text declares its types for tsc.
var libraries = map[string]string{
	"client-zip": `export { makeZip, predictLength } from 'client-zip'`,
	"codemirror": `export { EditorState } from '@codemirror/state'
export { EditorView, keymap, drawSelection, highlightActiveLine, lineNumbers } from '@codemirror/view'
export { defaultKeymap, history, historyKeymap } from '@codemirror/commands'
export { HighlightStyle, syntaxHighlighting, bracketMatching, indentOnInput } from '@codemirror/language'
export { javascriptLanguage } from '@codemirror/lang-javascript'
export { tags } from '@lezer/highlight'`,
	"hono": `export { Hono } from 'hono'`,
	// zod, which it contains, tries to evaluate text unless this is set first, and browsers report that.
	"mcp": `import 'data:text/javascript,globalThis.__zod_globalConfig = { jitless: true }'
export { McpServer, createMcpHandler, fromJsonSchema } from '@modelcontextprotocol/server'`,
	"msw": `export { delay, getResponse, http, HttpResponse } from 'msw'`,
	"xml": `export { XMLParser } from 'fast-xml-parser'`,
}

func main() {
	if err := run("."); err != nil {
		fmt.Fprintln(os.Stderr, "bundle:", err)
		os.Exit(1)
	}
}

// run writes the files of all libraries to vendor, in the folder web, whose parent has the packages.
func run(web string) error {
	root, err := filepath.Abs(filepath.Join(web, ".."))
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(libraries)) {
		files, err := build(root, name, libraries[name])
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		for file, content := range files {
			if err := os.WriteFile(filepath.Join(web, "vendor", file), content, 0o644); err != nil {
				return err
			}
		}
	}
	return nil
}
