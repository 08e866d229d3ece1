package reversehttp

import (
	"bytes"
	"io"
	"net/url"
	"strings"
	"testing"
	"testing/iotest"

	"reversehttp/schema"
)

// FuzzIncoming checks that a gateway's stream has the same messages however it arrives.
func FuzzIncoming(f *testing.F) {
	const line = `{"cursor":"1","id":"a","method":"GET","target":"/","url":"http://a.localhost/","headers":[]}` + "\n"
	for _, s := range []string{"", "\n\n", line, line + line, "{", "{}\n", `{"cursor":"2","ended":["a"]}` + "\n", line[:20], "\xff\n",
		strings.Replace(line, "{", `{"contentLength":2,"contentFollows":true,`, 1) + "hi\n" + line} {
		f.Add([]byte(s), false)
		f.Add([]byte(s), true)
	}
	f.Fuzz(func(t *testing.T, sent []byte, framed bool) {
		limits := schema.Limits{InlineBytes: 100, FramedInlineBytes: 100}
		whole, wholeErr := everyMessage(newIncoming(bytes.NewReader(sent), framed, limits))
		bytewise, bytewiseErr := everyMessage(newIncoming(iotest.OneByteReader(bytes.NewReader(sent)), framed, limits))
		if len(whole) != len(bytewise) || (wholeErr == io.EOF) != (bytewiseErr == io.EOF) {
			t.Fatalf("%q: %d messages and %v, byte by byte %d and %v", sent, len(whole), wholeErr, len(bytewise), bytewiseErr)
		}
		for i, m := range whole {
			if other := bytewise[i]; m.ID != other.ID || m.Cursor != other.Cursor || m.Target != other.Target {
				t.Errorf("%q: %v, byte by byte %v", sent, m, other)
			}
		}
	})
}

func everyMessage(i *incoming) (all []*message, err error) {
	for {
		b, err := i.next()
		all = append(all, b.messages...)
		if err != nil {
			return all, err
		}
	}
}

// FuzzTarget checks that a target never becomes an authority.
func FuzzTarget(f *testing.F) {
	for _, s := range []string{"/", "/a?b", "//evil.example/%zz", "//evil.example/", "/%zz", "/a%2Fb|c", "/?", "*", "http://a.example/%zz", "///", `/\evil`, "/ a", "/%", "//@:/%"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, target string) {
		u := parseTarget(target)
		if !strings.HasPrefix(target, "/") {
			return
		}
		if u.Scheme != "" || u.Host != "" || u.User != nil {
			t.Errorf("%q is %#v", target, u)
		}
		// As a proxy forwards it.
		out := *u
		out.Scheme, out.Host = "http", "upstream.example"
		if uri := out.RequestURI(); !strings.HasPrefix(uri, "/") && !strings.HasPrefix(uri, "http://upstream.example/") {
			t.Errorf("%q is sent on as %q", target, uri)
		}
		if again, err := url.Parse(out.String()); err == nil && out.Opaque == "" && again.Host != out.Host {
			t.Errorf("%q is sent to %q", target, again.Host)
		}
	})
}
