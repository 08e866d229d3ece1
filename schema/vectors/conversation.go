package vectors

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"strconv"
	"strings"

	"reversehttp/schema"
)

// Conversation is a case of conversation.json.
type Conversation struct {
	Case
	// Gateway holds settings that differ from the defaults.
	Gateway Settings `json:"gateway"`
	Steps   []Step   `json:"steps"`
}

// Set reports whether any setting differs from the defaults.
func (c Conversation) Set() bool { return !reflect.ValueOf(c.Gateway).IsZero() }

// Settings are the settings of the gateway that a case needs. Zero values mean the defaults.
type Settings struct {
	PublicURL string   `json:"publicUrl"`
	Keys      []string `json:"keys"`
	Queue     int      `json:"queue"`
	Sessions  int      `json:"sessions"`
	Batch     int      `json:"batch"`
	// Accounts is the JSON of a file of accounts. Quotas has the quotas under the keys "address"
	// and "label".
	Accounts json.RawMessage            `json:"accounts"`
	Quotas   map[string]json.RawMessage `json:"quotas"`
	// TrustedProxies are the prefixes of trusted proxies.
	TrustedProxies []string `json:"trustedProxies"`
	// AllowOrigins are the origins of pages that may use a local gateway, in addition to those of
	// this machine.
	AllowOrigins []string `json:"allowOrigins"`
	AnswerBytes  int      `json:"answerBytes"`
	// ContentBytes is the most content of a request.
	ContentBytes int `json:"contentBytes"`
	// LinkWindow is how much content may be unconfirmed on a link. An exchange starts with a
	// quarter of it.
	LinkWindow int `json:"linkWindow"`
	// Reachable says that other machines can reach the gateway, so that it is not local.
	Reachable bool `json:"reachable"`
	// Guide says that the gateway has a page about codes, to which problems link.
	Guide bool `json:"guide"`
}

// Step is one step of a conversation: exactly one of Send, Open, Visit, Link, Sends, Gets, Results, Closes, Ends, Holds, Leave, Await, Pending,
// SleepMs and Drain is set.
type Step struct {
	Send    *Send  `json:"send"`
	Open    *Send  `json:"open"`
	Visit   *Visit `json:"visit"`
	Leave   string `json:"leave"`
	Await   string `json:"await"`
	Pending string `json:"pending"`
	SleepMs int    `json:"sleepMs"`
	Drain   bool   `json:"drain"`

	Link *Opens `json:"link"`
	// On names the link of Sends, Gets, Results, Closes, Ends and Holds.
	On    string `json:"on"`
	Sends *Sends `json:"sends"`
	// Gets is the expected next message, and Results are the expected next results.
	Gets    json.RawMessage   `json:"gets"`
	Results []json.RawMessage `json:"results"`
	// Closes is the code with which the gateway closes, and Ends the code with which the program
	// closes.
	Closes int `json:"closes"`
	Ends   int `json:"ends"`
	// Holds delays what arrives until the program reads it.
	Holds bool `json:"holds"`

	// Name names the request that Open or Visit began, or the link.
	Name   string            `json:"name"`
	Expect *Expect           `json:"expect"`
	Save   map[string]string `json:"save"`
}

// Send is a request of a program.
type Send struct {
	Method  string          `json:"method"`
	URL     string          `json:"url"`
	Headers []schema.Field  `json:"headers"`
	JSON    json.RawMessage `json:"json"`
	As      string          `json:"as"`
	Content
}

// Visit is a request of a visitor: Raw, or the other members.
type Visit struct {
	Label   string         `json:"label"`
	Raw     string         `json:"raw"`
	Method  string         `json:"method"`
	Target  string         `json:"target"`
	Headers []schema.Field `json:"headers"`
	// Holds keeps the visitor from reading the answer until the visit is awaited.
	Holds bool `json:"holds"`
	Content
}

// Expect is an expected answer. Nil members are not compared.
type Expect struct {
	Status int `json:"status"`
	// Headers maps names to values. A nil value means absent, "*" any value.
	Headers map[string]*string `json:"headers"`
	JSON    any                `json:"json"`
	// Handed is the parameter of Proxy-Status: "?0", "?1", or "" for absent.
	Handed *string `json:"handed"`
	// Cut expects an answer that is cut short. Its content is the part that came.
	Cut bool `json:"cut"`
	Content
}

// Bytes returns what the visitor sends to host, the authority of the claim's public URL, on a connection that ends after the answer.
func (v Visit) Bytes(host string, vars map[string]string) []byte {
	content := v.Content.Bytes()
	if v.Raw != "" {
		raw := strings.ReplaceAll(Fill(v.Raw, vars), "{host}", host)
		return append([]byte(raw), content...)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n", v.Method, v.Target, host)
	for _, f := range v.Headers {
		fmt.Fprintf(&b, "%s: %s\r\n", f[0], Fill(f[1], vars))
	}
	if len(content) > 0 {
		b.WriteString("Content-Length: " + strconv.Itoa(len(content)) + "\r\n")
	}
	b.WriteString("\r\n")
	return append([]byte(b.String()), content...)
}

// Request returns the request of a program. Its URL may lack the control origin.
func (s Send) Request(origin string, vars map[string]string) (*http.Request, error) {
	at := Fill(s.URL, vars)
	if strings.HasPrefix(at, "/") {
		at = origin + at
	}
	at = Web(at)
	content := Fill(string(s.Content.Bytes()), vars)
	if s.JSON != nil {
		content = Fill(string(s.JSON), vars)
	}
	req, err := http.NewRequest(s.Method, at, strings.NewReader(content))
	if err != nil {
		return nil, err
	}
	if s.JSON != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if s.As != "" {
		req.Header.Set("Authorization", "Bearer "+Fill(s.As, vars))
	}
	for _, f := range s.Headers {
		req.Header.Add(f[0], Fill(f[1], vars))
	}
	return req, nil
}

// Diff returns how an answer differs from what is expected, or "".
func (e *Expect) Diff(status int, fields http.Header, content []byte, vars map[string]string) string {
	if e == nil {
		return ""
	}
	if status != e.Status {
		return fmt.Sprintf("status = %d, want %d (content %q)", status, e.Status, short(content))
	}
	for name, want := range e.Headers {
		got := fields.Values(name)
		switch {
		case want == nil && len(got) > 0:
			return fmt.Sprintf("field %s = %q, want it absent", name, got)
		case want != nil && (len(got) == 0 || *want != "*" && strings.Join(got, ", ") != Fill(*want, vars)):
			return fmt.Sprintf("field %s = %q, want %q", name, got, Fill(*want, vars))
		}
	}
	if d := diffType(fields.Get("Content-Type"), content); d != "" {
		return d
	}
	if e.Handed != nil {
		if d := diffHanded(*e.Handed, fields.Get("Proxy-Status")); d != "" {
			return d
		}
	}
	if e.JSON != nil {
		if d := DiffJSON(e.JSON, jsonOf(content), vars); d != "" {
			return d
		}
	}
	if e.Content != (Content{}) {
		return diffContent([]byte(Fill(string(e.Content.Bytes()), vars)), content)
	}
	return ""
}

// diffType compares the type of a problem with its code. Anything else than a problem of a gateway
// differs in nothing.
func diffType(media string, content []byte) string {
	var p struct{ Type, Code *string }
	if media != "application/problem+json" || json.Unmarshal(content, &p) != nil || p.Type == nil || p.Code == nil {
		return ""
	}
	if u, err := url.Parse(*p.Type); err != nil || !u.IsAbs() || u.Fragment != *p.Code {
		return fmt.Sprintf("type = %q, want it absent, or an absolute URL whose fragment is %s", *p.Type, *p.Code)
	}
	return ""
}

// diffHanded compares the parameter handed of a Proxy-Status field (RFC 9209) that has one member.
func diffHanded(want, status string) string {
	member, params, _ := strings.Cut(status, ";")
	got := ""
	for p := range strings.SplitSeq(params, ";") {
		if value, ok := strings.CutPrefix(strings.TrimSpace(p), "handed="); ok {
			got = value
		}
	}
	if strings.TrimSpace(member) != "reversehttp" || got != want {
		return fmt.Sprintf("Proxy-Status = %q, want reversehttp with handed %q", status, want)
	}
	return ""
}

// jsonOf converts the content of a stream, NDJSON or server-sent events, to a JSON list of its
// lines or events; one without a message is "". It returns JSON unchanged.
func jsonOf(content []byte) []byte {
	text := string(content)
	if text == "" || !strings.HasPrefix(text, "\n") && !strings.HasPrefix(text, ":\n\n") {
		return content
	}
	end := "\n"
	if text[0] == ':' {
		end = "\n\n"
	}
	var list []string
	for one := range strings.SplitAfterSeq(text, end) {
		one, ended := strings.CutSuffix(one, end)
		if _, data, isEvent := strings.Cut(one, "\ndata: "); isEvent && end == "\n\n" {
			one = data
		}
		switch {
		case one == "" && !ended:
			continue
		case one == "" || one == ":":
			one = `""`
		}
		list = append(list, one)
	}
	return []byte("[" + strings.Join(list, ",") + "]")
}

// Pick returns the string at a JSON Pointer of an answer, for the member save of a step.
func Pick(content []byte, pointer string) (string, error) {
	var v any
	if err := json.Unmarshal(jsonOf(content), &v); err != nil {
		return "", err
	}
	for part := range strings.SplitSeq(strings.TrimPrefix(pointer, "/"), "/") {
		part = strings.NewReplacer("~1", "/", "~0", "~").Replace(part)
		switch in := v.(type) {
		case map[string]any:
			v = in[part]
		case []any:
			i, err := strconv.Atoi(part)
			if err != nil || i < 0 || i >= len(in) {
				return "", fmt.Errorf("vectors: no %s in %s", pointer, short(content))
			}
			v = in[i]
		default:
			v = nil
		}
	}
	s, ok := v.(string)
	if !ok {
		return "", fmt.Errorf("vectors: no string at %s in %s", pointer, short(content))
	}
	return s, nil
}
