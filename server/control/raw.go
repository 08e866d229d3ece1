package control

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-chi/chi/v5"

	"reversehttp/schema"
	"reversehttp/schema/envelope"
	"reversehttp/server/answer"
	"reversehttp/server/claim"
	"reversehttp/server/field"
	"reversehttp/server/intake"
	"reversehttp/server/problem"
	"reversehttp/server/wire"
)

// The fields of POST {responseUrl}.
const (
	statusField   = "Reversehttp-Status"
	answerFieldIn = "Reversehttp-Field-"
)

// Raw answers POST {responseUrl}, whose content is the content of an answer.
func (a *Answers) Raw(w http.ResponseWriter, r *http.Request) {
	s, id := SessionOf(r), chi.URLParam(r, "exchange")
	var lost *answer.Fault
	tell := func(result claim.Result, read bool) {
		a.tell(w, r, without(lost, schema.Result{ID: id, Status: schema.ResultStatus(result)}), read)
	}
	stream, known, err := s.Delivery(id).Stream(claim.Coming{})
	if errors.Is(err, claim.ErrNotAnswering) {
		m, problem := rawMessage(id, r)
		var result claim.Result
		if problem == nil {
			lost = a.lostCookie(s.Claim(), m)
			result, problem = a.begin(s, m, r)
		}
		switch {
		case problem != nil:
			problem.Unread = true
			problem.Write(w, r)
			return
		case result != claim.Accepted || !m.More:
			tell(result, !m.More && result == claim.Accepted)
			return
		}
		stream, known, err = s.Delivery(id).Stream(claim.Coming{})
	}
	if errors.Is(err, claim.ErrNoExchange) && known != claim.Unknown {
		tell(known, false)
		return
	}
	if err != nil {
		p := problem.Of(err)
		p.Unread = true
		p.Write(w, r)
		return
	}
	defer s.Work(r.Context())()
	whole, late := a.pump(w, r, r.Body, stream)
	switch {
	case late:
		tell(claim.Late, false)
	case !whole:
		_, _ = s.Delivery(id).Abort()
		(&problem.Problem{Code: schema.CodeBadRequest, Unread: true, Detail: "The content ended before it was whole: the answer is cut short."}).Write(w, r)
	default:
		tell(stream.Close(r.Context(), false, field.GoodTrailers(r.Trailer)), true)
	}
}

// pump passes on content as it arrives in r. It reports whether it passed on all of it, and whether nobody
// needs it, which ends the wait for the rest.
func (a *Answers) pump(w http.ResponseWriter, r *http.Request, content io.Reader, stream *claim.Stream) (whole, late bool) {
	rc := http.NewResponseController(w)
	read := make(chan struct{})
	var watcher sync.WaitGroup
	watcher.Go(func() {
		select {
		case <-stream.Exchange.Over():
			_ = rc.SetReadDeadline(intake.Past)
		case <-read:
		}
	})
	defer func() {
		close(read)
		watcher.Wait()
		_ = rc.SetReadDeadline(time.Time{})
	}()
	buf := make([]byte, chunk)
	for {
		// The deadline between parts bounds a silent program. This one is for a program that the
		// visitor delayed.
		until := time.Now().Add(a.Registry.Options().Times.Part + time.Second)
		if stream.Upgraded {
			until = time.Time{} // a WebSocket may be silent for any time
		}
		_ = rc.SetReadDeadline(until)
		select {
		case <-stream.Exchange.Over():
			return false, true
		default:
		}
		n, err := content.Read(buf)
		if n > 0 {
			piece := buf[:n]
			if n <= len(buf)/2 {
				piece = bytes.Clone(piece)
			}
			if !stream.Write(r.Context(), piece) {
				return false, true
			}
			switch {
			case n <= len(buf)/2:
			case n < len(buf) && len(buf) < claim.RoomBytes:
				buf = make([]byte, chunk)
			default: // there is more than that at a time
				buf = stream.Room()
			}
		}
		switch {
		case err == io.EOF:
			return true, false
		case err != nil:
			select {
			case <-stream.Exchange.Over():
				return false, true
			default:
				return false, false
			}
		}
	}
}

// tell answers POST {responseUrl} with a result. read says that the content was
// read to its end.
func (a *Answers) tell(w http.ResponseWriter, r *http.Request, result schema.Result, read bool) {
	a.Judged(result.Status)
	wire.BoundWrite(w, 0) // a slow visitor may have held this back
	if !read {
		defer wire.Leaving(w, r)()
	}
	writeJSON(w, http.StatusAccepted, result)
}

// rawMessage returns the response that the fields of a POST {responseUrl} describe.
func rawMessage(id string, r *http.Request) (*answer.Message, *problem.Problem) {
	m := &answer.Message{Answer: &envelope.Answer{Type: schema.TypeResponse, ID: id, Status: http.StatusOK}}
	if stated := r.Header.Get(statusField); stated != "" {
		n, err := strconv.ParseUint(stated, 10, 16)
		if err != nil {
			return m, &problem.Problem{Code: schema.CodeBadMember, Detail: statusField + " is a status code, 200 to 599."}
		}
		m.Status = int(n)
	}
	// Sorted, so that a repeat is recognised.
	for _, name := range slices.Sorted(maps.Keys(r.Header)) {
		rest, ok := strings.CutPrefix(name, answerFieldIn)
		switch {
		case !ok && name != "Content-Type":
			continue
		case !ok && r.Header[answerFieldIn+name] != nil: // fields that clients add on their own give way
			continue
		case !ok:
			rest = name
		}
		for _, v := range r.Header[name] {
			m.Headers = append(m.Headers, schema.Field{rest, envelope.Characters(v)})
		}
	}
	m.More = m.Status != http.StatusNoContent && m.Status != http.StatusResetContent && m.Status != http.StatusNotModified
	return m, nil
}

// begin begins an answer whose content is the content of the POST. Without More that is the whole
// answer.
func (a *Answers) begin(s *claim.Session, m *answer.Message, r *http.Request) (result claim.Result, p *problem.Problem) {
	answered, f := m.Response()
	if f == nil {
		f = m.Bounded(a.Bounds.Fields, a.Bounds.FieldBytes)
	}
	if f == nil && !m.More {
		if n, err := r.Body.Read(make([]byte, 1)); n > 0 {
			f = &answer.Fault{Detail: "a response with this status has no content"}
		} else if err != io.EOF {
			return result, &problem.Problem{Code: schema.CodeBadRequest, Detail: "The content ended before it was whole, or its framing is malformed."}
		}
	}
	if f != nil {
		return result, badAnswer(f)
	}
	result, err := s.Delivery(m.ID).Answer(answered, m.Fits)
	if f, ok := errors.AsType[*answer.Fault](err); ok {
		return result, badAnswer(f)
	}
	if err != nil {
		return result, problem.Of(err)
	}
	return result, nil
}

// badAnswer returns the problem of a POST {responseUrl} with invalid fields.
func badAnswer(f *answer.Fault) *problem.Problem {
	return &problem.Problem{Code: schema.CodeBadMember, Detail: "The fields make no answer: " + f.Detail + "."}
}
