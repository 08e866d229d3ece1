package gateway

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"reversehttp/schema"
	"reversehttp/server/claim"
)

// poll answers GET {requests}.
func (g *Gateway) poll(w http.ResponseWriter, r *http.Request) {
	s := sessionOf(r)
	if !acceptsJSON(r) {
		(&problem{code: schema.CodeNotAcceptable}).write(w, r)
		return
	}
	longest := g.registry.Times().Wait
	wait, preferred := preferredWait(r, longest)
	batch, err := s.Poll(r.Context(), lastEventID(r), wait)
	switch {
	case errors.Is(err, context.Canceled):
		panic(http.ErrAbortHandler) // nobody is there to be answered
	case err != nil:
		problemOf(err).write(w, r)
		return
	}
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	if preferred {
		h.Set("Preference-Applied", "wait="+strconv.Itoa(int(wait/time.Second)))
	}
	if batch == nil {
		boundWrite(w, 0)
		w.WriteHeader(http.StatusNoContent)
		return
	}
	body := g.appendBatch(make([]byte, 0, sizeOf(batch)), s, batch)
	h["Content-Type"] = []string{"application/json"}
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	boundWrite(w, len(body))
	_, _ = w.Write(body)
}

// acceptsJSON tells whether Accept leaves room for application/json.
func acceptsJSON(r *http.Request) bool {
	accept := r.Header["Accept"]
	if len(accept) == 0 {
		return true
	}
	for _, v := range accept {
		for one := range strings.SplitSeq(v, ",") {
			media, parameters, _ := strings.Cut(one, ";")
			switch strings.ToLower(strings.TrimSpace(media)) {
			case "*/*", "application/*", "application/json", "":
				if q := strings.ReplaceAll(parameters, " ", ""); q != "q=0" && q != "q=0.0" {
					return true
				}
			}
		}
	}
	return false
}

// preferredWait reads Prefer: wait=N (RFC 7240, 4.3), in whole seconds. What it
// cannot read it ignores, as the RFC asks.
func preferredWait(r *http.Request, longest time.Duration) (wait time.Duration, preferred bool) {
	for _, v := range r.Header["Prefer"] {
		for one := range strings.FieldsFuncSeq(v, func(c rune) bool { return c == ',' || c == ';' }) {
			name, value, _ := strings.Cut(strings.TrimSpace(one), "=")
			if !strings.EqualFold(strings.TrimSpace(name), "wait") {
				continue
			}
			if n, err := strconv.ParseUint(strings.Trim(strings.TrimSpace(value), `"`), 10, 31); err == nil {
				return min(time.Duration(n)*time.Second, longest), true
			}
		}
	}
	return longest, false
}

// lastEventID gives the cursor that a program shows, or nil.
func lastEventID(r *http.Request) *string {
	if v := r.Header["Last-Event-Id"]; len(v) > 0 {
		return &v[0]
	}
	return nil
}

// sizeOf guesses the length of a batch as JSON, so that it is seldom copied.
func sizeOf(b *claim.Batch) int {
	n := 64
	for _, m := range b.Messages {
		n += 512
		if m.Cancel == "" {
			req := m.Exchange.Request()
			n += len(req.Content)*9/8 + 2*len(req.Target)
			for _, f := range req.Fields {
				n += len(f.Name) + len(f.Value) + 8
			}
		}
	}
	return n
}

// appendBatch appends a batch as JSON. It is written by hand because every
// request passes here; TestBatchesAreValid holds it against the schema.
func (g *Gateway) appendBatch(b []byte, s *claim.Session, batch *claim.Batch) []byte {
	b = append(b, `{"cursor":`...)
	b = appendString(b, batch.Cursor)
	b = append(b, `,"messages":[`...)
	for i, m := range batch.Messages {
		if i > 0 {
			b = append(b, ',')
		}
		if m.Cancel != "" {
			b = append(b, `{"type":"cancel","id":`...)
			b = appendString(b, m.Exchange.ID())
			b = append(b, `,"reason":`...)
			b = appendString(b, string(m.Cancel))
			b = append(b, '}')
			continue
		}
		b = g.appendRequest(b, s, m)
	}
	return append(b, "]}\n"...)
}

func (g *Gateway) appendRequest(b []byte, s *claim.Session, m claim.Message) []byte {
	req := m.Exchange.Request()
	b = append(b, `{"type":"request","id":`...)
	b = appendString(b, m.Exchange.ID())
	b = append(b, `,"attempt":`...)
	b = strconv.AppendInt(b, int64(m.Attempt), 10)
	b = append(b, `,"timeoutMs":`...)
	b = strconv.AppendInt(b, m.Timeout.Milliseconds(), 10)
	for _, member := range [...]struct{ name, value string }{
		{"method", req.Method}, {"target", req.Target}, {"url", req.URL}, {"base", g.public.base(m.Exchange.Claim().Label())},
		{"httpVersion", req.HTTPVersion}, {"remoteAddr", req.RemoteAddr},
	} {
		b = append(b, ',', '"')
		b = append(b, member.name...)
		b = append(b, '"', ':')
		b = appendString(b, member.value)
	}
	b = append(b, `,"headers":[`...)
	for i, f := range req.Fields {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '[')
		b = appendString(b, f.Name)
		b = append(b, ',')
		b = appendString(b, f.Value)
		b = append(b, ']')
	}
	b = append(b, ']')
	at := g.sessionURL(s) + "/exchanges/" + m.Exchange.ID()
	b = append(b, `,"responseUrl":`...)
	b = appendString(b, at+"/response")
	switch {
	case req.Stream != nil:
		b = append(b, `,"bodyUrl":`...)
		b = appendString(b, at+"/content")
	case len(req.Content) == 0:
	case utf8.Valid(req.Content):
		b = append(b, `,"body":`...)
		b = appendString(b, req.Content)
	default:
		b = append(b, `,"bodyBase64":"`...)
		b = base64.StdEncoding.AppendEncode(b, req.Content)
		b = append(b, '"')
	}
	return append(b, '}')
}

// appendString appends a valid UTF-8 string as JSON.
func appendString[S ~string | ~[]byte](b []byte, s S) []byte {
	b, err := jsontext.AppendQuote(b, s)
	if err != nil {
		panic("gateway: string in an envelope is not UTF-8: " + err.Error())
	}
	return b
}
