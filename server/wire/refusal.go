package wire

import (
	"bytes"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// refusal is the response to bytes that net/http never made a request of. It is an
// [http.ResponseWriter] into memory.
type refusal struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (w *refusal) Header() http.Header         { return w.header }
func (w *refusal) WriteHeader(status int)      { w.status = status }
func (w *refusal) Write(p []byte) (int, error) { return w.body.Write(p) }

// bytes returns the response as it is sent (RFC 9112).
func (w *refusal) bytes() []byte {
	w.header.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	w.header.Set("Content-Length", strconv.Itoa(w.body.Len()))
	var out bytes.Buffer
	fmt.Fprintf(&out, "HTTP/1.1 %d %s\r\n", w.status, http.StatusText(w.status))
	_ = w.header.Write(&out)
	out.WriteString("\r\n")
	out.Write(w.body.Bytes())
	return out.Bytes()
}
