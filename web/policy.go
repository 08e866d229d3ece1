package web

import (
	"regexp"
	"strings"
)

// Pages load from their own origin only, run no text as code, submit nothing
// and stand in no frame.
const policy = "default-src 'none'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; script-src"

// What strangers send is shown as text. With this a slip in that is an error
// instead of a hole: a browser that knows it refuses to parse strings as HTML.
const noHTML = "; require-trusted-types-for 'script'; trusted-types 'none'"

// Playground and mock API run code that the person in front of them wrote: in a worker,
// made from a blob, that inherits this policy. It sees no document, no storage
// and so no token, and can be ended when it loops. The page itself evaluates
// nothing. The code comes from the editor. A link can bring code there, which
// runs when the person applies it and no sooner, so a link runs none. Without Trusted Types a slip could make script elements,
// so only modules whose hashes the page has may run, and the worker loads none.
const handlerWorker = "; worker-src blob:"

// Two pages ask another host, wherever it is: the callback of a sign-in asks
// the provider that the person names for its endpoints and for tokens, and the
// subscriber of WebSub the feed and its hub. They load nothing from there.
const askAnyHost = "connect-src 'self' http: https:;"

var inline = regexp.MustCompile(`(?s)<script(?: type="\w+")?>(.+?)</script>`)

// policyOf returns the Content-Security-Policy of the page at a path. Inline scripts, as in
// hello where View Source is the point, are allowed one by one by their hash.
// So are modules, if they are given by their hashes, as for the playground and the mock API;
// other pages load every module of their origin.
func policyOf(at string, html []byte, modules []string) string {
	p := policy
	if at == "/oauth" || at == "/websub" {
		p = strings.Replace(p, "connect-src 'self';", askAnyHost, 1)
	}
	for _, script := range inline.FindAllSubmatch(html, -1) {
		p += " '" + hashOf(script[1]) + "'"
	}
	if modules == nil {
		return p + " 'self'" + noHTML
	}
	return p + " '" + strings.Join(modules, "' '") + "'" + handlerWorker
}
