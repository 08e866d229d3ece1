package web

import (
	"regexp"
	"strings"
)

// policy lets pages load from their own origin only, run no text as code, submit no forms and appear in no
// frame.
const policy = "default-src 'none'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; script-src"

// noHTML turns a slip in showing strangers' bytes into an error instead of a hole: browsers that support it
// refuse to parse strings as HTML.
const noHTML = "; require-trusted-types-for 'script'; trusted-types "

// The Trusted Types policies and workers of the pages that have any.
var trusted = map[string]string{
	// The connection of its claim is in a worker, which the SDK makes from a blob.
	"/hello": "reversehttp; worker-src blob:",
	// A service worker shows their notifications. This policy makes its URL and no other (notifier.js).
	"/ask":   "bell; worker-src 'self'",
	"/inbox": "bell; worker-src 'self'",
}

// handlerWorker lets the playground and the mock API run code that the user wrote: in a worker, made from a
// blob, that inherits this policy. The worker sees no document and no storage, and so no token, and the page
// can end it when it loops. The page itself evaluates nothing. The code comes from the editor; a link can put
// code there, which runs only when the user applies it. Without Trusted Types a slip could make script
// elements, so only modules whose hashes the page has may run, and the worker loads none.
const handlerWorker = "; worker-src blob:"

// askAnyHost lets two pages send requests to other hosts: the OAuth callback asks the provider that the user
// names for its endpoints and for tokens, and the WebSub subscriber asks the feed and its hub. They load
// nothing from there.
const askAnyHost = "connect-src 'self' http: https:;"

var inline = regexp.MustCompile(`(?s)<script(?: type="\w+")?>(.+?)</script>`)

// policyOf returns the Content-Security-Policy of the page at a path. It allows inline scripts, as in hello,
// where View Source is the point, one by one by their hash. If modules is not nil, it allows only the modules
// with these hashes, as for the playground and the mock API; other pages may load every module of their
// origin.
func policyOf(at string, html []byte, modules []string) string {
	p := policy
	if at == "/oauth" || at == "/websub" {
		p = strings.Replace(p, "connect-src 'self';", askAnyHost, 1)
	}
	for _, script := range inline.FindAllSubmatch(html, -1) {
		p += " '" + hashOf(script[1]) + "'"
	}
	if modules != nil {
		return p + " '" + strings.Join(modules, "' '") + "'" + handlerWorker
	}
	types, ok := trusted[at]
	if !ok {
		types = "'none'"
	}
	return p + " 'self'" + noHTML + types
}
