package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// types maps extensions to media types. The table of the machine is not used, since it differs
// between machines.
var types = map[string]string{
	".html": "text/html; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".svg":  "image/svg+xml",
	".map":  "application/json",
	".json": "application/json",
	".txt":  "text/plain; charset=utf-8",
	".md":   "text/markdown; charset=utf-8",
}

// leastZipped is the size from which content is worth compressing, in bytes.
const leastZipped = 1024

// asset answers with fixed content, or 304 if the client has it.
type asset struct {
	content []byte
	zipped  []byte // content in gzip; nil if that is not smaller
	tag     string // the ETag without the suffix for the coding
	fields  map[string]string
}

func newAsset(extension string, content []byte) *asset {
	sum := sha256.Sum256(content)
	a := &asset{content: content, tag: base64.RawURLEncoding.EncodeToString(sum[:12]), fields: map[string]string{
		"Content-Type": types[extension],
		// Cached but always revalidated, so that a new gateway shows its new pages.
		"Cache-Control":          "no-cache",
		"X-Content-Type-Options": "nosniff",
		"Referrer-Policy":        "no-referrer",
	}}
	// Source maps are for debugging, so their compression can wait.
	if len(content) >= leastZipped && extension != ".map" {
		a.zipped = zip(content)
	}
	return a
}

func (a *asset) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	for name, value := range a.fields {
		h.Set(name, value)
	}
	content, tag := a.content, a.tag
	if a.zipped != nil {
		h.Set("Vary", "Accept-Encoding")
		if acceptsGzip(r.Header.Values("Accept-Encoding")) {
			content, tag = a.zipped, tag+"-gzip"
			h.Set("Content-Encoding", "gzip")
			if r.Header.Get("Range") == "" {
				h.Set("Content-Length", strconv.Itoa(len(content)))
			}
		}
	}
	h.Set("ETag", `"`+tag+`"`)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
}

// zip returns content in gzip, or nil if that is not shorter.
func zip(content []byte) []byte {
	var b bytes.Buffer
	z, _ := gzip.NewWriterLevel(&b, gzip.BestCompression) // the level is valid
	_, err := z.Write(content)
	if err != nil || z.Close() != nil || b.Len() >= len(content) {
		return nil
	}
	return b.Bytes()
}

// acceptsGzip reports whether values of Accept-Encoding name gzip, with a quality above zero.
func acceptsGzip(values []string) bool {
	for coding := range strings.SplitSeq(strings.Join(values, ","), ",") {
		name, parameters, _ := strings.Cut(coding, ";")
		if !strings.EqualFold(strings.TrimSpace(name), "gzip") {
			continue
		}
		q, found := strings.CutPrefix(strings.ToLower(strings.ReplaceAll(parameters, " ", "")), "q=")
		quality, err := strconv.ParseFloat(q, 64)
		return !found || err == nil && quality > 0
	}
	return false
}
