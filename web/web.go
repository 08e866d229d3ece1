// Package web holds the console and the demo pages that the gateway serves at
// its control origin: plain HTML and modules, embedded. README.md lists them.
package web

//go:generate go run ./bundle

import (
	"embed"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"path"
	"slices"
	"strings"
	"sync"

	sdkjs "reversehttp/sdk-js"
)

//go:embed pages vendor/*.js vendor/*.txt
var pages embed.FS

// Pages returns a handler of GET and HEAD for each path. The SDK is /sdk.js, with the modules that it imports
// while it runs beside it, and its helpers below /sdk/. A file of pages/ has the path of its name; HTML loses
// its extension. A file of vendor/ stays in a folder of that name; only pages of the gateway load it. The
// guides are at /guides, below it, and in /llms.txt. /qr.svg draws the QR code of its parameter text.
//
// They are made by the first call; later calls return the same handlers.
func Pages() (map[string]http.Handler, error) {
	handlers, err := made()
	return maps.Clone(handlers), err
}

// made returns the handlers of all pages. A process with several gateways bundles and compresses them once.
var made = sync.OnceValues(makePages)

func makePages() (map[string]http.Handler, error) {
	files, err := fs.Glob(pages, "*/*")
	if err != nil {
		return nil, fmt.Errorf("web: %w", err)
	}
	sdk, err := sdkjs.Bundle()
	if err != nil {
		return nil, fmt.Errorf("web: %w", err)
	}
	contents := map[string][]byte{} // by path
	for _, f := range files {
		if contents[pathOf(f)], err = fs.ReadFile(pages, f); err != nil {
			return nil, fmt.Errorf("web: %w", err)
		}
	}
	for i, m := range sdk {
		contents[pathOfModule(i, m)] = m.JS
	}
	handlers, err := guides()
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		at := pathOf(f)
		content := contents[at]
		var modules []string
		if at == "/playground" || at == "/mock" {
			if content, modules, err = withIntegrity(content, contents); err != nil {
				return nil, err
			}
		}
		a := newAsset(path.Ext(f), content)
		a.fields["Cross-Origin-Resource-Policy"] = "same-origin"
		if path.Ext(f) == ".html" {
			a.fields["Content-Security-Policy"] = policyOf(at, content, modules)
			a.fields["Cross-Origin-Opener-Policy"] = "same-origin"
		}
		handlers[at] = a
	}
	handlers["/qr.svg"] = http.HandlerFunc(serveQR)
	for i, m := range sdk {
		at := pathOfModule(i, m)
		module, sourceMap := newAsset(".js", m.JS), newAsset(".map", m.SourceMap)
		module.fields["SourceMap"] = at + ".map"
		for path, a := range map[string]*asset{at: module, at + ".map": sourceMap} {
			// Pages of any origin may import it.
			a.fields["Cross-Origin-Resource-Policy"] = "cross-origin"
			if handlers[path] != nil {
				return nil, fmt.Errorf("web: %s is a page and a module of the SDK", path)
			}
			handlers[path] = a
		}
	}
	return handlers, nil
}

// pathOfModule returns the path of the i-th module of the SDK.
func pathOfModule(i int, m sdkjs.Module) string {
	switch {
	case i == 0:
		return "/sdk.js"
	case slices.Contains(sdkjs.Helpers, m.Name):
		return "/sdk/" + m.Name
	}
	return "/" + m.Name
}

// pathOf returns the path at which a file is served.
func pathOf(file string) string {
	name := strings.TrimPrefix(file, "pages")
	if name == "/index.html" {
		return "/"
	}
	return path.Join("/", strings.TrimSuffix(name, ".html"))
}
