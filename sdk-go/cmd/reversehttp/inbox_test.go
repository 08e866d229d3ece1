package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"reversehttp/server/gateway"
)

func TestEchoAnswersWithTheRequest(t *testing.T) {
	t.Parallel()
	for _, shape := range []string{hostShape, pathShape} {
		l := lend(t, shape, gateway.Options{})
		r := l.claim(t, "echo")
		for sent, truncated := range map[string]bool{"content": false, "": false, "\xff\x00": false, strings.Repeat("x", contentKept): false, strings.Repeat("y", contentKept+1): true} {
			req, _ := http.NewRequest("PATCH", r.url+"a?b", strings.NewReader(sent))
			req.Header["X-Twice"] = []string{"1", "2", "\xe9"}
			resp, err := l.visitor(t).Do(req)
			var got request
			if err := json.Unmarshal([]byte(content(t, resp, err)), &got); err != nil {
				t.Fatal(err)
			}
			came := got.Body
			if got.BodyBase64 != "" {
				b, _ := base64.StdEncoding.DecodeString(got.BodyBase64)
				came = string(b)
			}
			if want := sent[:min(len(sent), contentKept)]; came != want || got.Bytes != int64(len(sent)) || got.Truncated != truncated {
				t.Errorf("content = %.20q (%d bytes, truncated %v), want %.20q", came, got.Bytes, got.Truncated, want)
			}
			var twice []string
			for _, f := range got.Headers {
				if f[0] == "X-Twice" {
					twice = append(twice, f[1])
				}
			}
			if got.Method != "PATCH" || !strings.HasSuffix(r.url+"a?b", got.Target) || got.URL != r.url+"a?b" || got.HTTPVersion != "1.1" || got.Headers[0][0] != "Host" || strings.Join(twice, " ") != "1 2 \u00e9" {
				t.Errorf("request = %+.300v", got)
			}
			if resp.Header.Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("fields = %v", resp.Header)
			}
		}
	}
}

func TestInboxPrintsRequestsAndSendsTheChosenAnswer(t *testing.T) {
	t.Parallel()
	l := lend(t, hostShape, gateway.Options{})
	r := l.claim(t, "inbox", "--status", "418", "--body", `{"ok":true}`, "--type", "application/json")
	resp, err := l.visitor(t).Post(r.url+"hook?x=1", "text/plain", strings.NewReader("h\x1b[2Ji"))
	if got := content(t, resp, err); resp.StatusCode != 418 || got != `{"ok":true}` || resp.Header.Get("Content-Type") != "application/json" {
		t.Errorf("answer = %s %q %v", resp.Status, got, resp.Header)
	}
	e := r.next("request")
	if e.text("method") != "POST" || e.text("target") != "/hook?x=1" || e.text("body") != "h\x1b[2Ji" || e["bytes"] != 6.0 || len(e["headers"].([]any)) < 5 {
		t.Errorf("event = %v", e)
	}
	if e := r.next("exchange"); e["status"] != 418.0 {
		t.Errorf("event = %v", e)
	}
	resp, err = l.visitor(t).Get(l.claim(t, "inbox", "--status=204").url)
	if content(t, resp, err); resp.StatusCode != 204 {
		t.Errorf("answer = %s, want 204", resp.Status)
	}
}

// hostile is text that a terminal would obey, and text that looks like another request.
const hostile = "a\x1b[2Jb\x1b]0;title\x07\r\nGET /forged HTTP/1.1 from 1.2.3.4\n\u009b31m\u202egnp.exe\x00\x7f\rover\n"

func TestPrintedRequestsCannotControlATerminal(t *testing.T) {
	var out bytes.Buffer
	for _, v := range []view{&pages{out: &out}, newJSONView(&out)} {
		out.Reset()
		q := &request{Method: "GET" + hostile, Target: latin1("/" + hostile), HTTPVersion: "1.1", RemoteAddr: hostile, Headers: [][2]string{{"X" + hostile, latin1(hostile)}}, Body: hostile, content: []byte(strings.ReplaceAll(hostile, "\x00", "")), Bytes: 99, Fault: "it broke"}
		v.received(q)
		v.ended(exchange{method: hostile, target: hostile, visitor: hostile, fault: hostile})
		inertText(t, out.String())
		if _, ok := v.(*jsonView); ok {
			line, _, _ := strings.Cut(out.String(), "\n")
			var got request
			if err := json.Unmarshal([]byte(line), &got); err != nil || got.Body != hostile {
				t.Errorf("JSON = %s %v, want content exact", line, err)
			}
			continue
		}
		for line := range strings.Lines(out.String()) {
			if strings.HasPrefix(line, "GET /forged") {
				t.Errorf("a request was forged: %s", out.String())
			}
		}
	}
}

func TestInvalidUTF8IsEscapedByteForByte(t *testing.T) {
	for s, want := range map[string]string{"a\xffb": `a\xffb`, "\xe2\x80": `\xe2\x80`, "\ufffd": "\ufffd", "é\n": `é\n`, "plain": "plain"} {
		if got := printable(s); got != want {
			t.Errorf("%q = %s, want %s", s, got, want)
		}
	}
	if got := plain("é~"); got != `\u00e9~` {
		t.Errorf("plain = %s", got)
	}
}

func inertText(t *testing.T, s string) {
	t.Helper()
	for i, r := range s {
		if r != '\n' && r != '\t' && !unicode.IsPrint(r) || r == utf8.RuneError {
			t.Errorf("%U is printed in %q", r, s[max(0, i-10):min(len(s), i+10)])
		}
	}
}

func TestPagesSummariseBinaryAndLongContent(t *testing.T) {
	print := func(content string, n int) string {
		var b strings.Builder
		(&request{Method: "POST", Target: "/", HTTPVersion: "1.1", content: []byte(content), Bytes: int64(n)}).print(&b)
		return b.String()
	}
	if got := print("\x89PNG\x00", 5); !strings.Contains(got, "(5 bytes that are not text, beginning with 89504e4700)") {
		t.Errorf("binary = %s", got)
	}
	got := print(strings.Repeat("é", contentKept/2), contentKept+7)
	if want := "(and 983047 more bytes)"; !strings.Contains(got, want) || len(got) > printedText+200 || strings.Contains(got, `\x`) {
		t.Errorf("long text = %d bytes …%s, want %s", len(got), got[len(got)-60:], want)
	}
	if got := print("one\r\ntwo\n", 9); !strings.HasSuffix(got, "\n    one\n    two\n\n") {
		t.Errorf("lines = %q", got)
	}
}
