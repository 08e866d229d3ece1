package play

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"strings"

	"reversehttp/schema"
	"reversehttp/schema/envelope"
)

// visitor is a connection for one request, given as bytes.
type visitor struct {
	conn   net.Conn
	method string
	taking bool
	got    *Reply
	after  int           // how many bytes followed the answer, as far as known
	done   chan struct{} // closed once got and after are set
}

// visit connects a visitor to a label and begins to send a request. It does not read the answer before
// receive.
func (s *Site) visit(ctx context.Context, label string, raw []byte) (*visitor, error) {
	conn, err := s.dial(ctx, label)
	if err != nil {
		return nil, err
	}
	method, _, _ := strings.Cut(string(raw), " ")
	v := &visitor{conn: conn, method: method, done: make(chan struct{})}
	go func() { _, _ = conn.Write(raw) }() // a gateway that refuses a request may not read all of it
	return v, nil
}

// receive begins to read the answer. Further calls have no effect.
func (v *visitor) receive() {
	if v.taking {
		return
	}
	v.taking = true
	go func() {
		defer close(v.done)
		for in := bufio.NewReader(v.conn); ; {
			resp, err := http.ReadResponse(in, &http.Request{Method: v.method})
			if err == nil && resp.StatusCode < 200 {
				continue
			}
			v.got = newReply(resp, err)
			v.after = in.Buffered()
			return
		}
	}()
}

// fieldsOf returns fields as in an envelope: each character is one byte.
func fieldsOf(h http.Header) []schema.Field {
	var all []schema.Field
	for name, values := range h {
		for _, value := range values {
			all = append(all, schema.Field{name, envelope.Characters(value)})
		}
	}
	return all
}
