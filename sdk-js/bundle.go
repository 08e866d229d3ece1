// Package sdkjs carries the TypeScript SDK and makes it one JavaScript module.
//
// The sources are embedded, and esbuild's Go API bundles them from memory: a gateway serves its SDK
// without Node, without a disk and without a build that someone must remember to run.
package sdkjs

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/evanw/esbuild/pkg/api"
)

//go:embed src/*.ts
var sources embed.FS

// Bundle returns the SDK as one minified ES module, and its source map with the sources inside.
// The module does not name its map: whoever serves it does, with a SourceMap field or with a comment.
func Bundle() (js, sourceMap []byte, err error) {
	built := api.Build(api.BuildOptions{
		EntryPoints:       []string{"src/index.ts"},
		Bundle:            true,
		Format:            api.FormatESModule,
		Target:            api.ES2022,
		MinifyWhitespace:  true,
		MinifyIdentifiers: true,
		MinifySyntax:      true,
		Sourcemap:         api.SourceMapExternal,
		SourceRoot:        "reversehttp:///",
		Outfile:           "index.js",
		// An absolute directory that nothing is read from; the plugin answers for every path.
		AbsWorkingDir: "/",
		TsconfigRaw:   `{"compilerOptions":{"target":"ES2022","verbatimModuleSyntax":true}}`,
		Plugins:       []api.Plugin{fromEmbedded},
	})
	for _, m := range built.Errors {
		err = errors.Join(err, fmt.Errorf("sdk-js: bundle: %s", m.Text))
	}
	if err != nil {
		return nil, nil, err
	}
	for _, f := range built.OutputFiles {
		if strings.HasSuffix(f.Path, ".map") {
			sourceMap = f.Contents
		} else {
			js = f.Contents
		}
	}
	return js, sourceMap, nil
}

// fromEmbedded resolves every import among the embedded sources, and nothing else: an import of a
// package is an error, which keeps the SDK free of dependencies.
var fromEmbedded = api.Plugin{
	Name: "embedded",
	Setup: func(build api.PluginBuild) {
		build.OnResolve(api.OnResolveOptions{Filter: ".*"}, func(a api.OnResolveArgs) (api.OnResolveResult, error) {
			// Sources import each other as TypeScript wants it, by the name of the output.
			name := path.Join(path.Dir(a.Importer), strings.TrimSuffix(a.Path, ".js")+".ts")
			if a.Kind == api.ResolveEntryPoint {
				name = a.Path
			}
			if _, err := fs.Stat(sources, name); err != nil {
				return api.OnResolveResult{}, fmt.Errorf("%s is not a source of the SDK", a.Path)
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
