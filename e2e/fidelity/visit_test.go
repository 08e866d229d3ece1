package fidelity

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// row is a request whose verdicts on both ways must be the same.
type row struct {
	request string // method and target, lines of fields, and after an empty line the content
	// chunked sends the content in two chunks, with the trailers after it.
	chunked  bool
	trailers string // lines of fields
	// mask matches values that differ between any two answers: times and random values.
	mask string
	// differs names fields that the gateway must treat differently from net/http. The row has the reason.
	differs []string
}

// raw writes the request byte for byte.
func (r row) raw(host string) []byte {
	head, content, stated := strings.Cut(r.request, "\n\n")
	line, fields, _ := strings.Cut(head, "\n")
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s HTTP/1.1\r\nHost: %s\r\n", line, host)
	if fields != "" {
		fmt.Fprintf(&b, "%s\r\n", strings.ReplaceAll(fields, "\n", "\r\n"))
	}
	switch {
	case r.chunked:
		half := len(content) / 2
		fmt.Fprintf(&b, "Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n", half, content[:half])
		fmt.Fprintf(&b, "%x\r\n%s\r\n0\r\n", len(content)-half, content[half:])
		if r.trailers != "" {
			fmt.Fprintf(&b, "%s\r\n", strings.ReplaceAll(r.trailers, "\n", "\r\n"))
		}
		b.WriteString("\r\n")
	case stated:
		fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n%s", len(content), content)
	default:
		b.WriteString("\r\n")
	}
	return b.Bytes()
}

func (r row) method() string {
	method, _, _ := strings.Cut(r.request, " ")
	return method
}

// verdict is a response as a visitor gets it, with the fields that frame it.
type verdict struct {
	status   int
	reason   string
	fields   http.Header
	trailers http.Header
	content  string
	length   int64 // of Content-Length; -1 without
	coding   string
	ending   error
}

// visit sends a request on a connection of its own and reads the final response.
func (w way) visit(t testing.TB, r row) verdict {
	t.Helper()
	conn := w.dial(t)
	defer conn.Close()
	sent := make(chan struct{})
	go func() { // the answer may begin before everything is sent
		defer close(sent)
		conn.Write(r.raw(w.host))
	}()
	defer func() { <-sent }()
	defer conn.Close()
	v, err := readVerdict(bufio.NewReader(conn), r.method())
	if err != nil {
		t.Fatalf("%s: %.80q: %v", w.name, r.request, err)
	}
	return v
}

// readVerdict reads the final response to a method.
func readVerdict(in *bufio.Reader, method string) (verdict, error) {
	resp, err := http.ReadResponse(in, &http.Request{Method: method})
	for err == nil && resp.StatusCode < 200 && resp.StatusCode != http.StatusSwitchingProtocols {
		resp, err = http.ReadResponse(in, &http.Request{Method: method})
	}
	if err != nil {
		return verdict{}, err
	}
	defer resp.Body.Close()
	content, err := io.ReadAll(resp.Body)
	return verdict{
		status: resp.StatusCode, reason: resp.Status, fields: resp.Header, trailers: resp.Trailer, content: string(content),
		length: resp.ContentLength, coding: strings.Join(resp.TransferEncoding, ","), ending: err,
	}, nil
}

func newReader(b []byte) *bufio.Reader { return bufio.NewReader(bytes.NewReader(b)) }

// readFirst reads the head of a response and the first byte of its content.
func readFirst(t testing.TB, from io.Reader) {
	t.Helper()
	resp, err := http.ReadResponse(bufio.NewReader(from), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := resp.Body.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
}
