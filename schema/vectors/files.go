package vectors

import (
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"slices"
	"strings"

	"reversehttp/schema"
)

// FileCase is a case of files.json.
type FileCase struct {
	Case
	// Via lists the implementations that answer in this way. Empty means all.
	Via     []string `json:"via"`
	File    *File    `json:"file"`
	Request struct {
		Method  string         `json:"method"`
		Headers []schema.Field `json:"headers"`
	} `json:"request"`
	Received FileAnswer `json:"received"`
}

// File is the served file.
type File struct {
	Type string `json:"type"`
	ETag string `json:"etag"`
	// ModifiedMs is when the file changed, in milliseconds since 1970. Zero means unknown.
	ModifiedMs int64 `json:"modifiedMs"`
	Content
}

// FileAnswer is the answer that a visitor must get. The content of errors is not compared.
type FileAnswer struct {
	Status  int            `json:"status"`
	Headers []schema.Field `json:"headers"`
	Absent  []string       `json:"absent"`
	// Parts are the parts of multipart/byteranges.
	Parts []struct {
		Range string `json:"range"`
		Body  string `json:"body"`
	} `json:"parts"`
	Content
}

// Files returns the cases of files.json.
func Files() []FileCase { return load[FileCase]("files.json") }

// In reports whether an implementation answers as the case says.
func (c FileCase) In(runtime string) bool {
	return len(c.Via) == 0 || slices.Contains(c.Via, runtime)
}

// Served returns the file of the case, or the default file if it names none.
func (c FileCase) Served() File {
	if c.File != nil {
		return *c.File
	}
	return File{Type: "text/plain", ETag: `"v1"`, ModifiedMs: 784111777000, Content: Content{Body: new("0123456789")}}
}

// Diff returns how an answer differs from what the case expects, or "".
func (a FileAnswer) Diff(got *http.Response) string {
	content, err := io.ReadAll(got.Body)
	if err != nil || got.StatusCode != a.Status {
		return fmt.Sprintf("status = %d, %v, want %d (content %q)", got.StatusCode, err, a.Status, short(content))
	}
	var fields []schema.Field
	for name, values := range got.Header {
		for _, value := range values {
			fields = append(fields, schema.Field{name, value})
		}
	}
	if d := DiffFields(a.Headers, a.Absent, fields, nil); d != "" || a.Status >= 400 {
		return d
	}
	if a.Parts == nil {
		return diffContent(a.Bytes(), content)
	}
	kind, parameters, err := mime.ParseMediaType(got.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/byteranges" {
		return fmt.Sprintf("Content-Type = %q, %v", got.Header.Get("Content-Type"), err)
	}
	parts := multipart.NewReader(strings.NewReader(string(content)), parameters["boundary"])
	for i, want := range a.Parts {
		part, err := parts.NextRawPart()
		if err != nil {
			return fmt.Sprintf("part %d: %v", i, err)
		}
		body, err := io.ReadAll(part)
		if got := part.Header.Get("Content-Range"); err != nil || got != want.Range || string(body) != want.Body {
			return fmt.Sprintf("part %d = %q %q, %v, want %q %q", i, got, body, err, want.Range, want.Body)
		}
	}
	if _, err := parts.NextRawPart(); err != io.EOF {
		return fmt.Sprintf("after the last part: %v", err)
	}
	return ""
}
