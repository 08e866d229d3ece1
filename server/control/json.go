package control

import (
	stdjson "encoding/json"
	"net/http"
	"strconv"
	"strings"

	"reversehttp/schema"
	"reversehttp/server/intake"
	"reversehttp/server/problem"
)

func writeJSON(w http.ResponseWriter, status int, v any) {
	// The tags of our types are those of encoding/json: its omitempty keeps a
	// pointer to an empty string.
	body, err := stdjson.Marshal(v)
	if err != nil {
		panic("control: " + err.Error()) // our own types always marshal
	}
	body = append(body, '\n')
	w.Header()["Content-Type"] = []string{"application/json"}
	w.Header()["Content-Length"] = []string{strconv.Itoa(len(body))} // it is whole before anybody lingers
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// readJSON reads the JSON content of a program's request. Empty content is fine.
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
