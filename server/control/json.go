package control

import (
	"bytes"
	stdjson "encoding/json"
	"net/http"
	"strconv"
	"strings"

	"reversehttp/schema"
	"reversehttp/server/intake"
	"reversehttp/server/problem"
	"reversehttp/server/wire"
)

func writeJSON(w http.ResponseWriter, status int, v any) {
	writeWhole(w, status, marshal(v))
}

// marshal returns v as a line of JSON. The tags of our types are those of encoding/json, whose
// omitempty keeps a pointer to an empty string. Characters with a meaning in HTML are not escaped:
// this never becomes part of a page.
func marshal(v any) []byte {
	var b bytes.Buffer
	e := stdjson.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic("control: " + err.Error()) // our own types always marshal
	}
	return b.Bytes()
}

// writeHeld is writeJSON for a long value, which counts in hold while it is written.
func writeHeld(w http.ResponseWriter, r *http.Request, v any) {
	body := marshal(v)
	hold := intake.HoldOf(r)
	if !hold.Grow(len(body)) {
		intake.NoRoom().Write(w, r)
		return
	}
	defer hold.Shrink(len(body))
	wire.BoundWrite(w, len(body))
	writeWhole(w, http.StatusOK, body)
}

func writeWhole(w http.ResponseWriter, status int, body []byte) {
	w.Header()["Content-Type"] = []string{"application/json"}
	w.Header()["Content-Length"] = []string{strconv.Itoa(len(body))} // so that it is complete even if the connection lingers
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// readJSON reads the JSON content of a program's request, which may be empty.
func readJSON(w http.ResponseWriter, r *http.Request, pace intake.Pace, limit int) ([]byte, error) {
	body, err := pace.ReadOf(w, r, limit)
	if err != nil {
		return nil, err
	}
	if len(body) == 0 {
		return nil, nil
	}
	if !hasMedia(r, "application/json") {
		return nil, &problem.Problem{Code: schema.CodeUnsupportedMediaType}
	}
	return body, nil
}

// hasMedia reports whether the content of a request is of a media type, whatever its parameters.
func hasMedia(r *http.Request, media string) bool {
	stated, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	return strings.EqualFold(strings.TrimSpace(stated), media)
}
