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

// row is a request that gets the same verdict on both ways.
type row struct {
	request string // method, target, and lines of fields, and after an empty line the content
	// chunked has the content sent in two chunks, and trailers after it.
	chunked  bool
	trailers string // lines of fields
	// mask is a pattern of what no two answers have in common: times, and what is random. Why stands in the row.
	mask string
	// differs names fields that the gateway is to treat in another way than net/http. Why stands in the row.
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

// verdict is what a visitor gets. Fields are as they came, framing too.
type verdict struct {
	status   int
	reason   string
	fields   http.Header
	trailers http.Header
	content  string
	length   int64 // as stated; -1 without
	coding   string
	ending   error
}

// visit sends a request on a connection of its own and reads the final response.
func (w way) visit(t testing.TB, r row) verdict {
	t.Helper()
	conn := w.dial(t)
	defer conn.Close()
	sent := make(chan struct{})
	go func() { // an answer may come before all is sent
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
