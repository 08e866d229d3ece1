// Package web holds the console and the demo pages that the gateway serves at
// its control origin: plain HTML and modules, embedded.
package web

import "net/http"

// Pages gives a handler for each path, /sdk.js among them.
func Pages() (map[string]http.Handler, error) { return nil, nil }
