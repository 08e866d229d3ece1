// Package web holds the console and the demo pages that the gateway serves at
// its control origin: plain HTML and modules, embedded. README.md lists them.
package web

import (
	"embed"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strings"

	sdkjs "reversehttp/sdk-js"
)

//go:embed pages
var pages embed.FS

// Pages gives a handler of GET and HEAD for each path, among them /sdk.js and
// what it imports while it runs, beside it.
// A file of pages/ has the path of its name; HTML loses its extension.
// /qr.svg draws the QR code of its parameter text.
func Pages() (map[string]http.Handler, error) {
	files, err := fs.ReadDir(pages, "pages")
	if err != nil {
		return nil, fmt.Errorf("web: %w", err)
	}
	handlers := map[string]http.Handler{}
	for _, f := range files {
		content, err := fs.ReadFile(pages, "pages/"+f.Name())
		if err != nil {
			return nil, fmt.Errorf("web: %w", err)
		}
		at := pathOf(f.Name())
		a := newAsset(path.Ext(f.Name()), content)
		a.fields["Cross-Origin-Resource-Policy"] = "same-origin"
		if path.Ext(f.Name()) == ".html" {
			a.fields["Content-Security-Policy"] = policyOf(at, content)
			a.fields["Cross-Origin-Opener-Policy"] = "same-origin"
		}
		handlers[at] = a
	}
	handlers["/qr.svg"] = http.HandlerFunc(serveQR)
	modules, err := sdkjs.Bundle()
	if err != nil {
		return nil, fmt.Errorf("web: %w", err)
	}
	for i, m := range modules {
		at := "/" + m.Name
		if i == 0 {
			at = "/sdk.js"
		}
		sdk, sdkMap := newAsset(".js", m.JS), newAsset(".map", m.SourceMap)
		sdk.fields["SourceMap"] = at + ".map"
		for path, a := range map[string]*asset{at: sdk, at + ".map": sdkMap} {
			// A page of any origin may import it.
			a.fields["Cross-Origin-Resource-Policy"] = "cross-origin"
			if handlers[path] != nil {
				return nil, fmt.Errorf("web: %s is a page and a module of the SDK", path)
			}
			handlers[path] = a
		}
	}
	return handlers, nil
}

func pathOf(name string) string {
	if name == "index.html" {
		return "/"
	}
	return "/" + strings.TrimSuffix(name, ".html")
}
