package door

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"reversehttp/schema"
	"reversehttp/schema/envelope"
	"reversehttp/server/answer"
	"reversehttp/server/budget"
	"reversehttp/server/claim"
	"reversehttp/server/field"
	"reversehttp/server/publicurl"
)

// Answer answers an exchange that a session holds with a response of its program, and relays its
// content until the content, ctx or the exchange ends. An invalid response ends the exchange as an
// abort does, and Answer returns its fault; so does content that breaks off.
func (l *Relay) Answer(ctx context.Context, s *claim.Session, x *claim.Exchange, resp *http.Response) error {
	m, f := messageOf(x.Request(), resp)
	if f == nil {
		f = m.Bounded(l.Bounds.Fields, l.Bounds.FieldBytes)
	}
	if f == nil && !m.More {
		if n := int(resp.ContentLength); n > 0 && hasContent(x.Request(), resp) {
			if hold := x.Hold(); !hold.GrowSoon(ctx, x.Over(), n) {
				x.Reject(claim.ErrNoRoom)
				return claim.ErrNoRoom
			} else {
				defer hold.Shrink(n) // the answer holds it from then on
			}
			content := make([]byte, n)
			if _, err := io.ReadFull(resp.Body, content); err != nil {
				return fmt.Errorf("%w: its content ended before it was whole: %w", ErrGarbled, err)
			} else if trailing, err := io.Copy(io.Discard, resp.Body); trailing > 0 || err != nil {
				f = &answer.Fault{Detail: "the content is longer than it said"}
			}
			m.Content = content
		}
	}
	accepted, err := l.give(s, x, m, f)
	if err != nil || !accepted || !m.More {
		return err
	}
	return l.answerMore(ctx, s, x, resp)
}

// give answers an exchange with a response and reports whether it was accepted. A response with a
// fault, or that cannot answer the request, ends the exchange as an abort does, and give returns
// the fault.
func (l *Relay) give(s *claim.Session, x *claim.Exchange, m *answer.Message, f *answer.Fault) (accepted bool, err error) {
	var a *claim.Answer
	if f == nil {
		a, f = m.ResponseTo(x.Request())
	}
	if f != nil {
		l.Log.Debug("response refused", "label", s.Claim().Label(), "exchange", x.ID(), "reason", f.Detail)
		_, _ = s.Delivery(x.ID()).Abort()
		l.Judged(schema.ResultInvalid)
		return false, errors.New(f.Detail)
	}
	result, failure := s.Delivery(x.ID()).Answer(a, nil)
	l.Judged(schema.ResultStatus(result))
	if l.Public.PathPrefix == "" { // otherwise authors of such programs would not notice
		host := l.Public.Host(s.Claim().Label())
		if own := x.Request().Base; own != "" {
			host = publicurl.HostOf(own)
		}
		if lost := m.LostCookie(host); lost != nil {
			l.Log.Debug("cookie dropped", "label", s.Claim().Label(), "exchange", x.ID(), "reason", lost.Detail)
		}
	}
	return failure == nil && result == claim.Accepted, nil
}

// messageOf returns a response as a message that package answer can check. It has More if the
// content is relayed as it comes.
func messageOf(req *claim.Request, resp *http.Response) (*answer.Message, *answer.Fault) {
	h := resp.Header
	if stated := h["Content-Length"]; len(stated) > 0 {
		n, err := strconv.ParseUint(strings.TrimSpace(stated[0]), 10, 62)
		switch {
		case err != nil:
			return nil, &answer.Fault{Detail: "Content-Length is no length"}
		case resp.StatusCode == http.StatusNoContent:
			delete(h, "Content-Length")
		default:
			h["Content-Length"] = []string{strconv.FormatUint(n, 10)}
		}
	}
	if resp.StatusCode == http.StatusResetContent && resp.ContentLength < 0 {
		if _, err := io.ReadFull(resp.Body, make([]byte, 1)); err == io.EOF { // no length stated, and no content
			resp.ContentLength = 0
		}
	}
	m := &answer.Message{Answer: &envelope.Answer{Type: schema.TypeResponse, Status: resp.StatusCode, Headers: fieldList(h)}}
	m.More = hasContent(req, resp) && (resp.ContentLength < 0 || resp.ContentLength > wholeAnswer) || resp.StatusCode == http.StatusSwitchingProtocols
	if resp.StatusCode == http.StatusResetContent && resp.ContentLength != 0 {
		return nil, &answer.Fault{Detail: "a response with this status has no content"}
	}
	return m, nil
}

// hasContent reports whether a response to req can have content (RFC 9110, 6.4.1).
func hasContent(req *claim.Request, resp *http.Response) bool {
	return req.Method != http.MethodHead && resp.StatusCode != http.StatusNoContent && resp.StatusCode != http.StatusNotModified
}

// wholeAnswer is the most bytes of content that are read before a response is relayed.
const wholeAnswer = 128 << 10

// fieldList returns fields sorted by name.
func fieldList(h http.Header) (fields []schema.Field) {
	for _, name := range slices.Sorted(maps.Keys(h)) {
		for _, v := range h[name] {
			fields = append(fields, schema.Field{name, envelope.Characters(v)})
		}
	}
	return fields
}

const (
	// copied is how many bytes of content are copied at a time.
	copied = 32 << 10
	// The largest and the smallest window of an HTTP/2 stream to a program, in bytes.
	mostHanded  = 1 << 20
	leastHanded = 64 << 10
	// windowsOfMemory is how many windows of streams fit in the memory of a gateway.
	windowsOfMemory = 2048
)

// HandedWindow returns how many bytes of a response may arrive in HTTP/2 before they are read: 1
// MiB, or less if the gateway has little memory.
func (l *Relay) HandedWindow() int {
	memory := l.Registry.Options().Budget.Has(budget.Memory)
	if memory <= 0 {
		return mostHanded
	}
	return int(min(max(memory/windowsOfMemory, leastHanded), mostHanded))
}

// answerMore relays the content of a response after its head.
func (l *Relay) answerMore(ctx context.Context, s *claim.Session, x *claim.Exchange, resp *http.Response) error {
	var coming claim.Coming
	if resp.ProtoMajor == 2 {
		coming.Lasts, coming.Behind = true, l.HandedWindow() // its pings show that the program lives
	}
	stream, _, err := s.Delivery(x.ID()).Stream(coming)
	if err != nil {
		return nil
	}
	if back, upgraded := resp.Body.(io.ReadWriteCloser); upgraded && stream.Upgraded {
		defer l.handBack(ctx, s, x, back)()
	}
	buf := make([]byte, copied)
	for {
		n, err := resp.Body.Read(buf)
		if n > 0 && !stream.Write(ctx, bytes.Clone(buf[:n])) {
			return nil
		}
		switch {
		case err == io.EOF:
			stream.Close(ctx, false, field.GoodTrailers(resp.Trailer))
			return nil
		case err != nil && over(x):
			return nil
		case err != nil:
			_, _ = s.Delivery(x.ID()).Abort()
			return errors.New("the content ended before it was whole")
		}
	}
}
