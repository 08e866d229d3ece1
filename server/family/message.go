package family

import (
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"

	"reversehttp/server/claim"
	"reversehttp/server/wire"
)

// messages are requests as messages of HTTP/1.1, one after the other (RFC 9112, 10). The content of
// the last one may be streamed.
type messages struct {
	text []byte
	// stream is the request whose content follows text; nil if none does.
	stream *http.Request
	// free releases collected content.
	free func()
}

// add adds a request, unless the last one streams. A request whose content was collected gets that
// content and its length.
func (m *messages) add(req *http.Request, asked *claim.Request, collected *claim.Content) {
	content, streams := asked.Content.Bytes(), asked.Content.Streams() && req.Body != http.NoBody
	if collected != nil {
		content, streams = collected.Bytes(), false
	}
	version := "HTTP/1.1"
	if asked.HTTPVersion == "1.0" {
		version = "HTTP/1.0"
	}
	b := append(m.text, req.Method+" "+asked.Target+" "+version+"\r\nHost: "+req.Host+"\r\n"...)
	for _, name := range slices.Sorted(maps.Keys(req.Header)) {
		for _, v := range req.Header[name] {
			if name == "User-Agent" && v == "" { // it only keeps net/http from adding its own
				continue
			}
			b = append(b, name+": "+v+"\r\n"...)
		}
	}
	switch _, stated := req.Header["Content-Length"]; {
	case collected != nil:
		b = append(b, "Content-Length: "+strconv.Itoa(len(content))+"\r\n"...)
	case req.ContentLength > 0 && !stated:
		b = append(b, "Content-Length: "+strconv.FormatInt(req.ContentLength, 10)+"\r\n"...)
	}
	b = append(b, "\r\n"...)
	if streams {
		m.stream = req
	} else {
		b = append(b, content...)
	}
	m.text = b
}

// write writes the messages as the content of an answer. If the content of the last message breaks
// off, so does the answer.
func (m *messages) write(w http.ResponseWriter) {
	wire.BoundWrite(w, len(m.text))
	switch {
	case m.stream == nil:
		w.Header().Set("Content-Length", strconv.Itoa(len(m.text)))
	default:
		w.Header().Set("Content-Length", strconv.FormatInt(int64(len(m.text))+m.stream.ContentLength, 10))
	}
	// A proxy that buffers would delay uploads.
	w.Header().Set("X-Accel-Buffering", "no")
	if _, err := w.Write(m.text); err != nil || m.stream == nil {
		return
	}
	if err := m.relay(w); err != nil {
		panic(http.ErrAbortHandler) // no clean end
	}
}

// relay writes the streamed content.
func (m *messages) relay(w http.ResponseWriter) error {
	rc := http.NewResponseController(w)
	if err := rc.Flush(); err != nil {
		return err
	}
	buf := make([]byte, 32<<10)
	for {
		n, err := m.stream.Body.Read(buf)
		wire.BoundWrite(w, n)
		if n > 0 {
			if _, err := w.Write(buf[:n]); err != nil {
				return err
			}
			if err := rc.Flush(); err != nil {
				return err
			}
		}
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
	}
}
