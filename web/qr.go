package web

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"unicode/utf8"

	"rsc.io/qr"

	"reversehttp/schema"
)

const (
	// mostText bounds the text of a code, in bytes. Phone cameras hardly read larger codes.
	mostText = 512
	// quiet is the width of the white margin around a code, in modules (ISO/IEC 18004, 5.3.8).
	quiet = 4
)

// serveQR answers with the QR code of the parameter text, as an image. The URL of a claim is long to
// type on a phone.
func serveQR(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	// An image that is opened directly is a document.
	h.Set("Content-Security-Policy", "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; sandbox")
	text := r.URL.Query().Get("text")
	if text == "" || len(text) > mostText || !utf8.ValidString(text) {
		refuse(w, fmt.Sprintf("The parameter text has what the code says: 1 to %d bytes of UTF-8.", mostText))
		return
	}
	code, err := qr.Encode(text, qr.M)
	if err != nil {
		refuse(w, "The text does not fit a code.")
		return
	}
	content := drawn(code)
	h.Set("Content-Type", types[".svg"])
	h.Set("Content-Length", strconv.Itoa(len(content)))
	// The image for a text never changes.
	h.Set("Cache-Control", "private, max-age=86400")
	_, _ = w.Write(content)
}

// drawn returns a code as SVG: black runs of modules on white, regardless of the page's colours,
// because some cameras read no others.
func drawn(code *qr.Code) []byte {
	size := code.Size + 2*quiet
	b := fmt.Appendf(nil, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %[1]d %[1]d" shape-rendering="crispEdges"><path fill="#fff" d="M0 0h%[1]dv%[1]dH0z"/><path d="`, size)
	for y := range code.Size {
		for x := 0; x < code.Size; x++ {
			if !code.Black(x, y) {
				continue
			}
			from := x
			for x < code.Size && code.Black(x, y) {
				x++
			}
			b = fmt.Appendf(b, "M%d %dh%dv1h-%[3]dz", from+quiet, y+quiet, x-from)
		}
	}
	return append(b, `"/></svg>`+"\n"...)
}

// refuse answers 400 with a problem, like the gateway.
func refuse(w http.ResponseWriter, detail string) {
	content, _ := json.Marshal(schema.Problem{
		Title: http.StatusText(http.StatusBadRequest), Status: http.StatusBadRequest, Code: schema.CodeBadRequest, Detail: detail,
	})
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Length", strconv.Itoa(len(content)+1))
	w.WriteHeader(http.StatusBadRequest)
	_, _ = w.Write(append(content, '\n'))
}
