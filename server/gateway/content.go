package gateway

import (
	"errors"
	"io"
	"net/http"
	"os"
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

// lingering prepares w for an answer to r, whose content was not read to its
// end, and gives what is to be called after it. That goes on reading for a
// while, for a peer that sees the connection reset while it still sends may
// never see the answer (RFC 9112, 9.6). A stream of HTTP/2 ends after its answer
// without harm to it (RFC 9113, 8.1).
func lingering(w http.ResponseWriter, r *http.Request) (linger func()) {
	if r.ProtoMajor == 2 || r.Body == nil || r.Body == http.NoBody || r.ContentLength == 0 {
		return func() {}
	}
	rc := http.NewResponseController(w)
	_ = rc.EnableFullDuplex()
	w.Header().Set("Connection", "close")
	return func() {
		if r.Header.Get("Expect") != "" { // it has sent nothing and will not
			return
		}
		_ = rc.Flush()
		_ = rc.SetReadDeadline(time.Now().Add(lingerTime))
		_, _ = io.CopyN(io.Discard, r.Body, lingerBytes)
	}
}

// How much longer, in time and bytes, a refused visitor is listened to.
const (
	lingerTime  = 2 * time.Second
	lingerBytes = 8 << 20
)
