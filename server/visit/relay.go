package visit

import (
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"reversehttp/server/budget"
	"reversehttp/server/claim"
	"reversehttp/server/field"
	"reversehttp/server/quota"
	"reversehttp/server/wire"
)

// relayPiece is how many bytes of content a visitor has to take at a time.
const relayPiece = 64 << 10

// relay writes an answer to the visitor. The exchange has the rest of an answer with More.
func (s *visit) relay(a *claim.Answer) {
	w, r := s.w, s.r
	h := w.Header()
	own := s.relayFields(h, s.label, a.Fields, s.values[:0])
	if !s.byGate { // its pages are the gateway's own
		s.Strangers.Confine(h, s.c)
	}
	announce(h, a)
	via := s.via
	if s.req.HTTPVersion != "1.1" {
		via = s.Public.Via("1.1", s.label)
	}
	own.add("Via", via)
	if _, stated := h["Content-Length"]; !stated && statesLength(r.Method, a) {
		own.add("Content-Length", strconv.Itoa(len(a.Content)))
	}
	if a.Status == http.StatusNotModified {
		keepFieldsOf304(h)
	}
	if !s.mayAnswer(a) {
		return
	}
	silent := r.Method == http.MethodHead || len(a.Content) == 0
	if a.More || silent { // otherwise the first piece of the content goes with the head
		wire.BoundWrite(w, 0)
	}
	if a.More {
		field.Hasten(h)
		w.WriteHeader(a.Status)
		s.relayMore(a)
		return
	}
	addTrailers(h, a.Trailers)
	w.WriteHeader(a.Status)
	if silent {
		return
	}
	if err := writePieces(w, a.Content, s.hold, nil); err == errEvicted { // it is counted
		panic(http.ErrAbortHandler) // no clean end
	}
}

// Inform writes an interim response to the visitor.
func (s *visit) Inform(a *claim.Answer) {
	if s.upload != nil && s.upload.uninvited() {
		return
	}
	w := s.w
	h := w.Header()
	kept := h.Clone()
	clear(h)
	s.relayFields(h, s.label, a.Fields, nil)
	if s.meter.Out(sizeOf(h)) != nil {
		clear(h)
		maps.Copy(h, kept)
		return
	}
	// It is not sent. It has net/http copy the fields of HTTP/2, which it may still
	// read when this stream was reset and the next ones are set.
	h["Content-Length"] = nil
	wire.BoundWrite(w, 0)
	w.WriteHeader(a.Status)
	clear(h)
	maps.Copy(h, kept)
}

// errEvicted ends the writing to a visitor whose place others need.
var errEvicted = errors.New("visit: the visitor was too slow")

// writePieces writes content, of which the visitor has to take a piece at a time. While they are
// waited for, hold may be taken back.
func writePieces(w http.ResponseWriter, content []byte, hold *budget.Hold, m *quota.Meter) error {
	for piece := range slices.Chunk(content, relayPiece) {
		if over := m.Out(len(piece)); over != nil {
			return over
		}
		wire.BoundWrite(w, len(piece))
		if hold.Evicted() == claim.ErrTooSlow { // it may have ended the deadline before that was set
			return errEvicted
		}
		hold.Wait()
		_, err := w.Write(piece)
		hold.Move(len(piece))
		switch {
		case err != nil && hold.Evicted() == claim.ErrTooSlow:
			return errEvicted
		case err != nil:
			return err
		}
	}
	return nil
}

// keepFieldsOf304 spells the fields that net/http would drop from a 304 in a way that net/http does
// not recognise. They describe the response that GET would have (RFC 9110, 15.4.5).
func keepFieldsOf304(h http.Header) {
	for _, name := range []string{"Content-Length", "Content-Type"} {
		if values := h[name]; len(values) > 0 {
			h[strings.ToLower(name)] = values
			delete(h, name)
		}
	}
}

// statesLength reports whether the gateway states the length of the content. It does not for 204
// and 304 (RFC 9110, 8.6), nor for an empty answer to HEAD, since it cannot know the length for
// GET.
func statesLength(method string, a *claim.Answer) bool {
	if a.More || len(a.Trailers) > 0 || a.Status == http.StatusNoContent || a.Status == http.StatusNotModified {
		return false
	}
	return method != http.MethodHead || len(a.Content) > 0
}

// relayMore relays the rest of a streamed answer.
func (s *visit) relayMore(a *claim.Answer) {
	w, r, x, hold := s.w, s.r, s.x, s.hold
	rc := http.NewResponseController(w)
	silent := r.Method == http.MethodHead
	chunks := [][]byte{a.Content}
	a.Content = nil // so that it can be freed before the end
	ctx := r.Context()
	left, err := strconv.ParseInt(w.Header().Get("Content-Length"), 10, 64)
	if err != nil {
		left = -1 // the length is unknown
	}
	for {
		for _, content := range chunks {
			if silent || len(content) == 0 {
				continue
			}
			switch err := writePieces(w, content, hold, s.meter); {
			case err == nil:
			case errors.Is(err, http.ErrContentLength):
				x.Fail(claim.ErrHandlerFailed)
				panic(http.ErrAbortHandler)
			case isOverdrawn(err):
				s.cut(err)
				panic(http.ErrAbortHandler)
			default:
				x.Fail(claim.ErrVisitorGone)
				panic(http.ErrAbortHandler)
			}
			if left -= int64(len(content)); left == 0 {
				ctx = context.WithoutCancel(ctx) // the visitor has everything, and may leave
			}
		}
		hold.Wait()
		err := rc.Flush()
		hold.Move(0)
		if err != nil {
			x.Fail(claim.ErrVisitorGone)
			panic(http.ErrAbortHandler)
		}
		chunks, err = x.Next(ctx)
		if err == io.EOF && s.meter.Out(sizeOfFields(a.Trailers)) != nil {
			panic(http.ErrAbortHandler) // no clean end
		}
		if err == io.EOF {
			wire.BoundWrite(w, 0) // the end may have come long after the last content
			addTrailers(w.Header(), a.Trailers)
			return
		}
		if err != nil {
			panic(http.ErrAbortHandler) // no clean end
		}
	}
}

// addTrailers adds the trailers that follow the content.
func addTrailers(h http.Header, trailers []claim.Field) {
	for _, f := range trailers {
		if strings.EqualFold(f.Name, "Proxy-Status") && field.Forges(f.Value) {
			continue
		}
		name := http.TrailerPrefix + http.CanonicalHeaderKey(f.Name)
		h[name] = append(h[name], f.Value)
	}
}
