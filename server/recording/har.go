package recording

import (
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"reversehttp/schema"
	"reversehttp/schema/secret"
)

// Archives are HTTP Archives 1.2 (http://www.softwareishard.com/blog/har-12-spec/), which browsers and tools import.

type harPair struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type harEntry struct {
	StartedDateTime string      `json:"startedDateTime"`
	Time            int         `json:"time"`
	Request         harRequest  `json:"request"`
	Response        harResponse `json:"response"`
	Cache           struct{}    `json:"cache"`
	Timings         harTimings  `json:"timings"`
	ID              string      `json:"_id"`
	Code            string      `json:"_code,omitempty"`
	ReplayOf        string      `json:"_replayOf,omitempty"`
	Traceparent     string      `json:"_traceparent,omitempty"`
}

// harTimings are in milliseconds; -1 means not applicable.
type harTimings struct {
	Blocked int `json:"blocked"`
	DNS     int `json:"dns"`
	Connect int `json:"connect"`
	SSL     int `json:"ssl"`
	Send    int `json:"send"`
	Wait    int `json:"wait"`
	Receive int `json:"receive"`
}

type harRequest struct {
	Method      string       `json:"method"`
	URL         string       `json:"url"`
	HTTPVersion string       `json:"httpVersion"`
	Cookies     []harPair    `json:"cookies"`
	Headers     []harPair    `json:"headers"`
	QueryString []harPair    `json:"queryString"`
	PostData    *harPostData `json:"postData,omitempty"`
	HeadersSize int          `json:"headersSize"`
	BodySize    int          `json:"bodySize"`
}

type harPostData struct {
	MimeType string    `json:"mimeType"`
	Params   []harPair `json:"params"`
	Text     string    `json:"text"`
	Encoding string    `json:"_encoding,omitempty"`
	Comment  string    `json:"comment,omitempty"`
}

type harResponse struct {
	Status      int        `json:"status"`
	StatusText  string     `json:"statusText"`
	HTTPVersion string     `json:"httpVersion"`
	Cookies     []harPair  `json:"cookies"`
	Headers     []harPair  `json:"headers"`
	Content     harContent `json:"content"`
	RedirectURL string     `json:"redirectURL"`
	HeadersSize int        `json:"headersSize"`
	BodySize    int        `json:"bodySize"`
}

type harContent struct {
	Size     int    `json:"size"`
	MimeType string `json:"mimeType"`
	Text     string `json:"text,omitempty"`
	Encoding string `json:"encoding,omitempty"`
	Comment  string `json:"comment,omitempty"`
}

// The text before and after the entries of an archive. Commas separate the entries.
const (
	ArchiveBegin = `{"log":{"version":"1.2","creator":{"name":"ReverseHttp","version":"1"},"pages":[],"entries":[`
	ArchiveEnd   = "]}}\n"
)

// Entry returns a recording as an entry of an archive, to be encoded as JSON, with or without
// secrets.
func Entry(r schema.Recording, secrets bool) any { return entryOf(r, secrets) }

// urlOf returns a URL with or without its secrets.
func urlOf(u string, secrets bool) string {
	if secrets {
		return u
	}
	return secret.URL(u)
}

func entryOf(r schema.Recording, secrets bool) harEntry {
	x := r.Exchange
	e := harEntry{
		StartedDateTime: x.ReceivedAt, Time: max(value(x.DoneMs), 0), ID: x.ID, Code: x.Code, ReplayOf: x.ReplayOf,
		Timings: timingsOf(x),
		Request: harRequest{
			Method: x.Method, URL: urlOf(x.URL, secrets), HTTPVersion: "HTTP/" + x.HTTPVersion,
			Headers: pairs(r.Request.Headers, secrets), QueryString: query(x.URL, secrets), HeadersSize: -1, BodySize: x.RequestBytes,
		},
		Response: harResponse{
			Status: x.Status, StatusText: http.StatusText(x.Status), HTTPVersion: "HTTP/1.1", Headers: []harPair{}, HeadersSize: -1, BodySize: x.ResponseBytes,
			Content: harContent{Size: x.ResponseBytes, MimeType: "x-unknown"},
		},
	}
	if x.Trace != nil {
		e.Traceparent = x.Trace.Traceparent
	}
	e.Request.Cookies, e.Response.Cookies = []harPair{}, []harPair{}
	if x.RequestBytes > 0 {
		text, encoding := r.Request.Body, ""
		if r.Request.BodyBase64 != "" {
			text, encoding = r.Request.BodyBase64, "base64"
		}
		e.Request.PostData = &harPostData{MimeType: typeOf(r.Request.Headers), Params: []harPair{}, Text: text, Encoding: encoding, Comment: comment(x.RequestCut)}
	}
	if a := r.Response; a != nil {
		e.Response.Headers = pairs(a.Headers, secrets)
		e.Response.RedirectURL = urlOf(field(a.Headers, "Location"), secrets)
		c := &e.Response.Content
		c.MimeType, c.Text, c.Comment = typeOf(a.Headers), a.Body, comment(x.ResponseCut)
		if a.BodyBase64 != "" {
			c.Text, c.Encoding = a.BodyBase64, "base64"
		}
	}
	return e
}

func comment(cut bool) string {
	if cut {
		return "Only the beginning was recorded."
	}
	return ""
}

func value(n *int) int {
	if n == nil {
		return -1
	}
	return *n
}

// timingsOf returns how long an exchange waited for a session and for its handler.
func timingsOf(x schema.Recorded) harTimings {
	t := harTimings{Blocked: -1, DNS: -1, Connect: -1, SSL: -1}
	delivered, first, done := value(x.DeliveredMs), value(x.FirstByteMs), value(x.DoneMs)
	switch {
	case done < 0:
	case delivered < 0:
		t.Blocked = done
	case first < 0:
		t.Blocked, t.Wait = delivered, done-delivered
	default:
		t.Blocked, t.Wait, t.Receive = delivered, first-delivered, done-first
	}
	return t
}

// field returns the first value of a field.
func field(fields []schema.Field, name string) string {
	for _, f := range fields {
		if strings.EqualFold(f[0], name) {
			return f[1]
		}
	}
	return ""
}

// typeOf returns the media type of content, with its parameters.
func typeOf(fields []schema.Field) string {
	if t := field(fields, "Content-Type"); t != "" {
		return t
	}
	return "application/octet-stream"
}

func pairs(fields []schema.Field, secrets bool) []harPair {
	all := make([]harPair, len(fields))
	for i, f := range fields {
		all[i] = harPair{f[0], f[1]}
		if !secrets {
			all[i].Value = secret.Value(f[0], f[1])
		}
	}
	return all
}

// query returns the parameters of the query of a URL.
func query(of string, secrets bool) []harPair {
	all := []harPair{}
	_, raw, _ := strings.Cut(of, "?")
	for one := range strings.SplitSeq(raw, "&") {
		if one == "" {
			continue
		}
		name, v, _ := strings.Cut(one, "=")
		name, v = unescaped(name), unescaped(v)
		if !secrets && secret.Named(name) {
			v = secret.Masked
		}
		all = append(all, harPair{name, v})
	}
	return all
}

func unescaped(s string) string {
	if u, err := url.QueryUnescape(s); err == nil && utf8.ValidString(u) {
		return u
	}
	return s
}
