// Package sdkjs carries the TypeScript SDK and makes it a few JavaScript modules.
//
// The sources are embedded, and esbuild's Go API bundles them from memory: a gateway serves its SDK
// without Node, without a disk and without a build that someone must remember to run.
package sdkjs

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/evanw/esbuild/pkg/api"
)

//go:embed src/*.ts
var sources embed.FS

// Module is one minified ES module.
type Module struct {
	// Name is that of its file. Modules import each other as ./Name, so they stay side by side.
	Name string
	JS   []byte
	// SourceMap contains the sources. The module does not name its map: a server names it in a SourceMap
	// field, or adds a comment.
	SourceMap []byte
}

// Parts names the modules that the first one imports while it runs. Features of modules that it cannot load
// are unavailable.
var Parts = []string{"page.js", "stream.js", "wait.js", "websocket.js"}

// Helpers are modules that no other imports: what a handler is made of where it serves files, for one.
// A program names those that it wants.
var Helpers = []string{"files.js", "receive.js", "worker.js"}

// internal names members of objects that never leave the SDK. Nobody else reads them, so they are
// shortened, in all modules alike. None may be a member of the wire, of the API or of the platform.
var internal = []string{
	"again", "answer", "ask", "back", "barred", "by", "claimed", "controller", "current", "deadlineMs", "drain", "ended", "events", "forget", "framed", "handler",
	"hidden", "info", "judge", "keep", "lack", "lasting", "lastly", "leave", "line", "lose", "lost", "narrow", "part",
	"plain", "poll", "pour", "recall", "release", "report", "resend", "reset", "run", "settle", "settled", "shown",
	"step", "stop", "streams", "take", "wait", "waitMs", "wake", "ways", "whole",
}

// Bundle returns the SDK: index.js, which is all that a page names, the [Parts], and the [Helpers].
//
// Each is bundled by itself and has its own copy of what it needs, for what they shared would be a
// module that index.js has to wait for.
func Bundle() ([]Module, error) {
	var modules []Module
	short := map[string]any{}
	for _, name := range slices.Concat([]string{"index.js"}, Parts, Helpers) {
		m, err := bundle(name, short)
		if err != nil {
			return nil, fmt.Errorf("sdk-js: bundle %s: %w", name, err)
		}
		modules = append(modules, m)
	}
	return modules, nil
}

// bundle bundles one module. It adds to the short forms of internal names that others have.
func bundle(name string, short map[string]any) (Module, error) {
	built := api.Build(api.BuildOptions{
		EntryPoints:       []string{"src/" + sourceOf(name)},
		Bundle:            true,
		Format:            api.FormatESModule,
		Target:            api.ES2022,
		MinifyWhitespace:  true,
		MinifyIdentifiers: true,
		MinifySyntax:      true,
		MangleProps:       "^(" + strings.Join(internal, "|") + ")$",
		MangleCache:       short,
		Sourcemap:         api.SourceMapExternal,
		SourceRoot:        "reversehttp:///",
		Outfile:           name,
		// An absolute directory that nothing is read from; the plugin answers for every path.
		AbsWorkingDir: "/",
		TsconfigRaw:   `{"compilerOptions":{"target":"ES2022","verbatimModuleSyntax":true}}`,
		Plugins:       []api.Plugin{fromEmbedded},
	})
	var err error
	for _, m := range built.Errors {
		err = errors.Join(err, errors.New(m.Text))
	}
	maps.Copy(short, built.MangleCache)
	m := Module{Name: name}
	for _, f := range built.OutputFiles {
		if strings.HasSuffix(f.Path, ".map") {
			m.SourceMap = f.Contents
		} else {
			m.JS = f.Contents
		}
	}
	return m, err
}

// sourceOf is the source of what TypeScript wants to be imported by the name of its output.
func sourceOf(name string) string {
	return strings.TrimSuffix(name, ".js") + ".ts"
}

// fromEmbedded resolves every import among the embedded sources, and nothing else: an import of a
// package is an error, which keeps the SDK free of dependencies. An import() stays one.
var fromEmbedded = api.Plugin{
	Name: "embedded",
	Setup: func(build api.PluginBuild) {
		build.OnResolve(api.OnResolveOptions{Filter: ".*"}, func(a api.OnResolveArgs) (api.OnResolveResult, error) {
			name := path.Join(path.Dir(a.Importer), sourceOf(a.Path))
			if a.Kind == api.ResolveEntryPoint {
				name = a.Path
			}
			if _, err := fs.Stat(sources, name); err != nil {
				return api.OnResolveResult{}, fmt.Errorf("%s is not a source of the SDK", a.Path)
			}
			if a.Kind == api.ResolveJSDynamicImport {
				return api.OnResolveResult{Path: a.Path, External: true}, nil
			}
			return api.OnResolveResult{Path: name, Namespace: "sdk-js"}, nil
		})
		build.OnLoad(api.OnLoadOptions{Filter: ".*", Namespace: "sdk-js"}, func(a api.OnLoadArgs) (api.OnLoadResult, error) {
			source, err := sources.ReadFile(a.Path)
			if err != nil {
				return api.OnLoadResult{}, err
			}
			text := string(source)
			return api.OnLoadResult{Contents: &text, Loader: api.LoaderTS}, nil
		})
	},
}
