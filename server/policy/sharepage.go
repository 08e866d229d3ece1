package policy

import (
	"bytes"
	"html/template"
	"net/http"

	"reversehttp/server/claim"
)

// sharePage is what a link shows before it is spent. It needs no script, and posts to itself.
func sharePage(host string) *claim.Answer {
	var content bytes.Buffer
	_ = page.Execute(&content, host)
	return &claim.Answer{Status: http.StatusOK, Content: content.Bytes(), Fields: []claim.Field{
		{Name: "Cache-Control", Value: "no-store"},
		{Name: "Content-Security-Policy", Value: "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"},
		{Name: "Content-Type", Value: "text/html; charset=utf-8"},
		{Name: "Referrer-Policy", Value: "no-referrer"},
		{Name: "X-Content-Type-Options", Value: "nosniff"},
		{Name: "X-Robots-Tag", Value: "noindex"},
	}}
}

var page = template.Must(template.New("share").Parse(`<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Shared with you</title>
<style>:root{color-scheme:light dark}body{font:1rem/1.5 system-ui,sans-serif;max-width:36rem;margin:15vh auto;padding:0 1rem}button{font:inherit;padding:.5rem 1rem}code{opacity:.7}</style>
<main>
<h1>Shared with you</h1>
<p>The owner of <code>{{.}}</code> sent you this link. Open it with this browser to be let in.</p>
<form method="post"><button>Open</button></form>
</main>
`))
