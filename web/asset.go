package web

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"time"
)

// types are by extension. The machine's table of types is not asked: it
// differs from one machine to the next.
var types = map[string]string{
	".html": "text/html; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".svg":  "image/svg+xml",
	".map":  "application/json",
}

// asset answers with the same content every time, or 304 to whoever has it.
type asset struct {
	content []byte
	fields  map[string]string
}

func newAsset(extension string, content []byte) *asset {
	sum := sha256.Sum256(content)
	return &asset{content, map[string]string{
		"Content-Type": types[extension],
		// Kept, and asked about each time: a new gateway shows its new pages.
		"Cache-Control":          "no-cache",
		"ETag":                   `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`,
		"X-Content-Type-Options": "nosniff",
		"Referrer-Policy":        "no-referrer",
	}}
}

func (a *asset) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	for name, value := range a.fields {
		w.Header().Set(name, value)
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(a.content))
}
