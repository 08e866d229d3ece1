package gateway

import (
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"reversehttp/schema"
)

// readContent reads the whole content of a request, of a visitor or a program,
// up to limit bytes, in the time that its size allows: a grace, and then a
// least rate. Where it fails, the deadline stays for what net/http still reads.
func (g *Gateway) readContent(w http.ResponseWriter, r *http.Request, limit int) ([]byte, error) {
	if r.ContentLength > int64(limit) {
		// Said before anything is read, so that no 100 (Continue) invites it.
		return nil, &problem{code: schema.CodeContentTooLarge, unread: true}
	}
	if r.Body == nil || r.Body == http.NoBody {
		return nil, nil
	}
	rc := http.NewResponseController(w)
	start := time.Now()
	buf := make([]byte, 0, max(r.ContentLength, 512)+1)
	for {
		if len(buf) == cap(buf) {
			buf = append(buf, 0)[:len(buf)]
		}
		_ = rc.SetReadDeadline(start.Add(g.options.ContentGrace + time.Duration(len(buf))*time.Second/time.Duration(g.options.ContentRate)))
		n, err := r.Body.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		switch {
		case len(buf) > limit:
			return nil, &problem{code: schema.CodeContentTooLarge, unread: true}
		case err == io.EOF:
			_ = rc.SetReadDeadline(time.Time{})
			return buf, nil
		case errors.Is(err, os.ErrDeadlineExceeded):
			return nil, &problem{code: schema.CodeTooSlow, unread: true}
		case err != nil:
			return nil, &problem{code: schema.CodeBadRequest, unread: true, detail: "The content ended before it was whole, or its framing is malformed."}
		}
	}
}

// refuse answers a visitor whose content was not read.
func (g *Gateway) refuse(w http.ResponseWriter, r *http.Request, p *problem) {
	p.visitor, p.unread = true, true
	p.write(w, r)
}

// leaving prepares w for an answer to r, whose content was not read to its end, or
// not asked for, and gives what is to be called after it. The connection ends then.
// A stream of HTTP/2 ends after its answer without harm to it (RFC 9113, 8.1).
func leaving(w http.ResponseWriter, r *http.Request) (left func()) {
	if r.ProtoMajor == 2 || r.Body == nil || r.Body == http.NoBody || r.ContentLength == 0 {
		return func() {}
	}
	_ = http.NewResponseController(w).EnableFullDuplex() // else net/http reads before it answers
	w.Header().Set("Connection", "close")
	if expects(r) {
		return func() {}
	}
	return func() { hangUp(w) }
}

// expects tells whether a peer waits to be asked for content (RFC 9110, 10.1.1).
func expects(r *http.Request) bool { return r.Header.Get("Expect") != "" }

// hangUp has net/http end the connection after the answer, by [conn.CloseWrite],
// although the request may have more content.
func hangUp(w http.ResponseWriter) {
	_ = http.NewResponseController(w).SetReadDeadline(time.Unix(1, 0)) // conn reads what else comes
	_, _ = http.MaxBytesReader(w, io.NopCloser(strings.NewReader("x")), 0).Read(make([]byte, 1))
}
