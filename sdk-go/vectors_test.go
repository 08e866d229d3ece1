package reversehttp_test

import (
	"bytes"
	"encoding/base64"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"unicode/utf8"

	"reversehttp/schema"
	"reversehttp/schema/vectors"
	reversehttp "reversehttp/sdk-go"
	"reversehttp/server/gateway"
)

func TestVectorsPassThroughARealGateway(t *testing.T) { overEach(t, vectorsPassThroughARealGateway) }

func vectorsPassThroughARealGateway(t *testing.T) {
	l := lend(t, hostShape, gateway.Options{})
	var current atomic.Pointer[vectors.Exchange]
	seen := make(chan schema.Request, 1)
	fetched := make(chan []byte, 1)
	s := l.serve(t, handle(func(w http.ResponseWriter, r *http.Request) {
		e, content := envelopeOf(r)
		seen <- e
		fetched <- content
		answerWith(w, current.Load().Answer())
	}), &reversehttp.Options{Label: "demo"})
	u, err := url.Parse(s.URL())
	if err != nil {
		t.Fatal(err)
	}
	vars := map[string]string{"host": u.Host, "label": "demo", "visitor": "127.0.0.1"}
	for _, c := range vectors.Exchanges() {
		if !c.In("sdk-go") {
			continue
		}
		t.Run(c.Name, func(t *testing.T) {
			current.Store(&c)
			raw := c.Visitor.Bytes(vars)
			method, _, _ := bytes.Cut(raw, []byte(" "))
			resp := exchange(t, l.addr, string(method), raw)
			request := <-seen
			if d := c.Request.Diff(request, vars); d != "" {
				t.Errorf("request: %s", d)
			}
			if d := c.Request.DiffContent(<-fetched); d != "" {
				t.Errorf("request: %s", d)
			}
			if d := c.Received.Diff(resp.StatusCode, fieldsOf(resp.Header), []byte(readBody(t, resp)), vars); d != "" {
				t.Errorf("received: %s", d)
			}
		})
	}
}

// envelopeOf converts a handler's request back to an envelope, and reads the content.
func envelopeOf(r *http.Request) (schema.Request, []byte) {
	info := reversehttp.RequestInfo(r.Context())
	e := schema.Request{
		Method: r.Method, Target: textOf(r.RequestURI), URL: textOf(info.URL), Base: info.Base,
		HTTPVersion: strings.TrimPrefix(r.Proto, "HTTP/"), RemoteAddr: r.RemoteAddr, Attempt: info.Attempt,
		Headers: append([]schema.Field{{"Host", r.Host}}, fieldsOf(r.Header)...),
	}
	b, err := io.ReadAll(r.Body)
	switch {
	case err == nil && (r.ContentLength < 0 || len(b) > inlineBytes):
		e.BodyURL = "fetched"
	case err != nil || int64(len(b)) != r.ContentLength:
		e.Body = new("the content does not have ContentLength bytes")
	case utf8.Valid(b) && len(b) > 0:
		e.Body = new(string(b))
	case len(b) > 0:
		e.BodyBase64 = new(base64.StdEncoding.EncodeToString(b))
	}
	return e, b
}

// How much content a gateway puts into an envelope by default.
const inlineBytes = 64 << 10

func fieldsOf(h http.Header) []schema.Field {
	var fields []schema.Field
	for name, values := range h {
		for _, v := range values {
			fields = append(fields, schema.Field{name, textOf(v)})
		}
	}
	return fields
}

// textOf converts each byte to the character of its number.
func textOf(s string) string {
	runes := make([]rune, len(s))
	for i := range len(s) {
		runes[i] = rune(s[i])
	}
	return string(runes)
}
