package family

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf8"

	"reversehttp/schema"
	"reversehttp/schema/vectors"
	"reversehttp/server/gateway"
)

// toldKey is the context key for the message that the program of a request received.
type toldKey struct{}

// exchanges plays the cases of request.json and response.json through a door.
func exchanges(t *testing.T, family vectors.Family, d vectors.Door) {
	w := newTown(t, gateway.Options{})
	var current atomic.Pointer[vectors.Exchange]
	seen := make(chan schema.Request, 8)
	programs[d.Name](w, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		seen <- envelopeOf(r)
		a := current.Load().Answer()
		rw.Header()["Content-Type"] = nil
		setFields(rw.Header(), a.Headers)
		rw.WriteHeader(a.Status)
		_, _ = rw.Write(a.Bytes())
	}))
	vars := map[string]string{"host": w.authority(), "label": "demo", "visitor": "127.0.0.1"}
	for _, c := range vectors.Exchanges() {
		if !c.In("gateway") {
			continue
		}
		t.Run(c.File+"/"+c.Name, func(t *testing.T) {
			c, apart := family.Through(d, c)
			current.Store(&c)
			raw := c.Visitor.Bytes(vars)
			method, _, _ := bytes.Cut(raw, []byte(" "))
			status, fields, content, err := w.ask(raw, string(method))
			if err != nil {
				t.Fatal(err)
			}
			if apart.Refused != 0 {
				if len(seen) > 0 || status != apart.Refused {
					t.Errorf("%d handlers, status %d, want none and %d", len(seen), status, apart.Refused)
				}
				return
			}
			select {
			case got := <-seen:
				if d := c.Request.Diff(got, vars); d != "" {
					t.Errorf("request: %s", d)
				}
			default:
				t.Error("the handler had no request")
			}
			if d := c.Received.Diff(status, textFields(fields), content, vars); d != "" {
				t.Errorf("received: %s", d)
			}
			if len(seen) > 0 {
				t.Errorf("the handler ran again")
				for len(seen) > 0 {
					<-seen
				}
			}
		})
	}
}

// ask sends a visitor's request, and repeats it if the gateway reports that the program is away and received
// nothing: a program that opens a connection for each request is away in between.
func (w *town) ask(raw []byte, method string) (status int, fields http.Header, content []byte, err error) {
	for until := time.Now().Add(patience); ; {
		conn := w.dial()
		_ = conn.SetDeadline(until)
		if _, err := conn.Write(raw); err != nil {
			return 0, nil, nil, err
		}
		status, fields, content, err = lastResponse(conn, method)
		if err != nil || fields.Get("Proxy-Status") != "reversehttp; error=destination_unavailable; handed=?0" || status != http.StatusServiceUnavailable {
			return status, fields, content, err
		}
	}
}

// lastResponse reads a response, after interim ones.
func lastResponse(from io.Reader, method string) (status int, fields http.Header, content []byte, err error) {
	in := bufio.NewReader(from)
	for {
		resp, err := http.ReadResponse(in, &http.Request{Method: method})
		if err != nil {
			return 0, nil, nil, err
		}
		if resp.StatusCode >= 200 {
			content, err = io.ReadAll(resp.Body)
			return resp.StatusCode, resp.Header, content, err
		}
	}
}

// envelopeOf converts a handler's request to an envelope, with the message that its program received.
func envelopeOf(r *http.Request) schema.Request {
	e, _ := r.Context().Value(toldKey{}).(schema.Request)
	e.Method, e.Target, e.Headers = r.Method, characters(r.RequestURI), append([]schema.Field{{"Host", r.Host}}, textFields(r.Header)...)
	e.Body, e.BodyBase64, e.BodyURL = nil, nil, ""
	content, err := io.ReadAll(r.Body)
	switch {
	case err != nil:
		e.Body = new("the content ended with " + err.Error())
	case len(content) > 0 && utf8.Valid(content):
		e.Body = new(string(content))
	case len(content) > 0:
		e.BodyBase64 = new(base64.StdEncoding.EncodeToString(content))
	}
	return e
}

// requestOf converts the message of a program to a request for a handler.
func requestOf(ctx context.Context, m schema.Request) *http.Request {
	r := (&http.Request{Method: m.Method, RequestURI: bytesOf(m.Target), Proto: "HTTP/" + m.HTTPVersion, Header: http.Header{}, ContentLength: -1}).WithContext(context.WithValue(ctx, toldKey{}, m))
	for _, f := range m.Headers {
		if strings.EqualFold(f[0], "Host") {
			r.Host = bytesOf(f[1])
			continue
		}
		name := http.CanonicalHeaderKey(f[0])
		r.Header[name] = append(r.Header[name], bytesOf(f[1]))
	}
	return r
}
