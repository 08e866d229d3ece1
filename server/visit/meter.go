package visit

import (
	"errors"
	"net/http"

	"reversehttp/server/claim"
	"reversehttp/server/field"
	"reversehttp/server/intake"
	"reversehttp/server/problem"
	"reversehttp/server/quota"
	"reversehttp/server/wire"
)

// enter counts the request in the quotas of its claim, or answers the visitor that they are used up. It
// reports whether the request goes on; if so, the caller calls the meter's End.
func (s *visit) enter() bool {
	var err error
	if s.meter, err = s.Quotas.Begin(s.label); err != nil {
		s.overdrawn(err)
	}
	return err == nil
}

// took counts the head of the request, and the content that a gate held, before the request is handed over.
// It reports whether the request goes on; if not, the visitor gets the reason.
func (s *visit) took() bool {
	if s.meter == nil {
		return true
	}
	size := len(s.r.Method) + len(s.r.RequestURI) + sizeOf(s.r.Header)
	if !s.req.Content.Streams() {
		size += len(s.req.Content.Bytes())
	}
	err := s.meter.In(size)
	if err != nil {
		s.overdrawn(err)
	}
	return err == nil
}

// overdrawn refuses a request that no handler had, because of a quota.
func (s *visit) overdrawn(err error) {
	p := problem.Of(err)
	p.Handed = claim.HandedNo
	intake.Refuse(s.w, s.r, p)
}

// mayAnswer counts the head of an answer, or all of a whole one, before it is sent. It reports whether the
// answer may be sent; if not, the exchange fails unless it has ended, and the visitor gets an error.
func (s *visit) mayAnswer(a *claim.Answer) bool {
	if s.meter == nil {
		return true
	}
	h := s.w.Header()
	size := sizeOf(h)
	if !a.More && s.r.Method != http.MethodHead {
		size += len(a.Content) + sizeOfFields(a.Trailers)
	}
	err := s.meter.Out(size)
	if err == nil {
		return true
	}
	clear(h)
	if a.More {
		s.cut(err)
		if s.upload != nil && !s.upload.stop() {
			defer wire.Leaving(s.w, s.r)()
		}
	}
	p := problem.Of(err)
	p.Visitor, p.Handed = true, claim.HandedYes
	p.Write(s.w, s.r)
	return false
}

// cut ends an exchange that is answering because of err, and notifies its program.
func (s *visit) cut(err error) {
	s.x.Reject(err)
	s.x.Fail(err)
}

// isOverdrawn reports whether an error says that a quota is used up, or cannot be counted.
func isOverdrawn(err error) bool {
	_, over := errors.AsType[*quota.Exceeded](err)
	return over || errors.Is(err, quota.ErrUnkept)
}

// sizeOfFields returns how many bytes the fields of an answer count.
func sizeOfFields(fields []claim.Field) (size int) {
	for _, f := range fields {
		size += field.Size(len(f.Name), len(f.Value))
	}
	return size
}

// sizeOf returns how many bytes fields count.
func sizeOf(h http.Header) (size int) {
	for name, values := range h {
		size += field.SizeOf(name, values)
	}
	return size
}
