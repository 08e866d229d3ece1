package control

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"runtime"

	"reversehttp/schema"
	"reversehttp/schema/envelope"
	"reversehttp/server/answer"
	"reversehttp/server/claim"
	"reversehttp/server/domain"
	"reversehttp/server/intake"
	"reversehttp/server/problem"
	"reversehttp/server/publicurl"
	"reversehttp/server/wire"
)

// Answers serves POST {responses} and POST {responseUrl}. Its members are set before its first use
// and do not change.
type Answers struct {
	Registry *claim.Registry
	Bounds   Bounds
	Pace     intake.Pace
	Domains  *domain.Domains
	Public   *publicurl.Template
	// Judged is called with the result of each answer.
	Judged func(schema.ResultStatus)
	Log    *slog.Logger
}

// Answer answers POST {responses}.
func (a *Answers) Answer(w http.ResponseWriter, r *http.Request) {
	if hasMedia(r, envelope.MediaFramed) {
		a.framed(w, r)
		return
	}
	s, hold := SessionOf(r), intake.HoldOf(r)
	s.Claim().Charge(hold)
	arriving := s.Work(r.Context())
	body, err := readJSON(w, r, a.Pace, a.Bounds.AnswerBytes)
	arriving()
	if err == nil {
		err = s.Answerable()
	}
	if err == nil && !hold.Grow(len(body)) { // for what is decoded from it
		err = intake.Crowded()
	}
	if err != nil {
		problem.Of(err).Write(w, r)
		return
	}
	messages, err := answer.Decode(body, a.Registry.Options().Limits.Batch, a.Bounds.Fields)
	if err != nil {
		problem.Of(err).Write(w, r)
		return
	}
	hold.Shrink(cap(body))
	results := results{all: make([]schema.Result, 0, len(messages))}
	for i := 0; i < len(messages) && err == nil; i++ {
		err = results.add(a.soon(r.Context(), s, &messages[i]))
		if r.Context().Err() != nil {
			panic(http.ErrAbortHandler) // the client is gone
		}
	}
	err = errors.Join(err, results.await())
	for _, one := range results.all {
		a.Judged(one.Status)
	}
	if err != nil {
		judged(w, results.all, err)
		problem.Of(err).Write(w, r)
		return
	}
	wire.BoundWrite(w, 0) // a slow visitor may have delayed this
	runtime.Gosched()     // visitors wait for their answers; the program does not wait
	writeJSON(w, http.StatusAccepted, schema.Results{Results: results.all})
}

// results are those of messages that are judged one after the other.
type results struct {
	all  []schema.Result
	open map[int]func() (claim.Result, error) // of those in all that are not known yet; nil for none
}

// add adds what [Answers.soon] returns, unless that failed, and returns its error.
func (r *results) add(one schema.Result, taken func() (claim.Result, error), err error) error {
	if err != nil {
		return err
	}
	if taken != nil {
		if r.open == nil {
			r.open = map[int]func() (claim.Result, error){}
		}
		r.open[len(r.all)] = taken
	}
	r.all = append(r.all, one)
	return nil
}

// await waits for the results that are not known yet. It fails if the session may not answer; then those
// are not accepted.
func (r *results) await() (failed error) {
	for i, taken := range r.open {
		result, err := taken()
		failed = cmp.Or(failed, err)
		r.all[i].Status = schema.ResultStatus(result)
	}
	r.open = nil
	return failed
}

// judged notes the results before an error, if it is that the claim has moved in between.
func judged(w http.ResponseWriter, results []schema.Result, err error) {
	if !errors.Is(err, claim.ErrMoved) {
		return
	}
	var ids []string
	for _, r := range results {
		if r.Status == schema.ResultAccepted {
			ids = append(ids, r.ID)
		}
	}
	wire.Judged(w, ids)
}

// one judges one message. It fails only if the session may not answer.
func (a *Answers) one(ctx context.Context, s *claim.Session, m *answer.Message) (schema.Result, error) {
	one, taken, err := a.soon(ctx, s, m)
	if taken != nil {
		var result claim.Result
		result, err = taken()
		one.Status = schema.ResultStatus(result)
	}
	return one, err
}

// soon is one, except that it does not wait for the node of a visitor; see [claim.Give].
func (a *Answers) soon(ctx context.Context, s *claim.Session, m *answer.Message) (_ schema.Result, taken func() (claim.Result, error), err error) {
	if claim.Adopted(s) && wire.WasJudged(ctx, m.ID) {
		return schema.Result{ID: m.ID, Status: schema.ResultAccepted}, nil, nil
	}
	if f := a.refused(m); f != nil {
		return invalid(m.ID, f), nil, nil
	}
	var result claim.Result
	switch {
	case m.Type == schema.TypeAbort && m.ID != "":
		a.Log.Debug("exchange aborted", "label", s.Claim().Label(), "exchange", m.ID, "reason", m.Reason)
		result, err = s.Delivery(m.ID).Abort()
	case m.Type == schema.TypeResponse && m.ID != "":
		a, f := m.Response()
		if f != nil {
			return invalid(m.ID, f), nil, nil
		}
		result, taken, err = claim.Give(s.Delivery(m.ID), a, m.Fits)
		if f := faultOf(err); f != nil {
			return invalid(m.ID, f), nil, nil
		}
	case m.Type == schema.TypePart && m.ID != "":
		part, f := m.Part(a.Bounds.PartBytes)
		if f != nil {
			return invalid(m.ID, f), nil, nil
		}
		result, err = s.Delivery(m.ID).Part(ctx, part)
		if f := faultOf(err); f != nil {
			return invalid(m.ID, f), nil, nil
		}
	case m.Type == schema.TypeInterim && m.ID != "":
		a, f := m.Interim()
		if f != nil {
			return invalid(m.ID, f), nil, nil
		}
		result, err = s.Delivery(m.ID).Interim(a)
	case m.Type != schema.TypeAbort && m.Type != schema.TypeResponse && m.Type != schema.TypePart && m.Type != schema.TypeInterim:
		return invalid(m.ID, &answer.Fault{Pointer: "/type", Detail: "type is response, part, interim or abort"}), nil, nil
	default:
		return invalid(m.ID, &answer.Fault{Pointer: "/id", Detail: "id names the exchange"}), nil, nil
	}
	return without(a.lostCookie(s.Claim(), m), schema.Result{ID: m.ID, Status: schema.ResultStatus(result)}), taken, err
}

// refused returns the fault found when a message was read, or that it has too many fields, or nil.
func (a *Answers) refused(m *answer.Message) *answer.Fault {
	if m.Refused != nil {
		return m.Refused
	}
	return m.Bounded(a.Bounds.Fields, a.Bounds.FieldBytes)
}

// faultOf returns the fault of an answer or a part for an error of the core, or nil for other
// errors.
func faultOf(err error) *answer.Fault {
	f, ok := errors.AsType[*answer.Fault](err)
	switch {
	case ok:
		return f
	case errors.Is(err, claim.ErrNotAnswering):
		return &answer.Fault{Pointer: "/type", Detail: "a part follows a response with more"}
	case errors.Is(err, claim.ErrGap):
		return &answer.Fault{Pointer: "/seq", Detail: "a part before this one is missing"}
	}
	return nil
}

func invalid(id string, f *answer.Fault) schema.Result {
	return schema.Result{ID: id, Status: schema.ResultInvalid, Pointer: &f.Pointer, Detail: f.Detail}
}
