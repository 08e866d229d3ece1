package control

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"runtime"
	"sync"

	"reversehttp/schema"
	"reversehttp/schema/envelope"
	"reversehttp/server/answer"
	"reversehttp/server/claim"
	"reversehttp/server/intake"
	"reversehttp/server/problem"
	"reversehttp/server/wire"
)

// post is a POST {responses} in the framed form. Its messages are judged one after the other.
type post struct {
	*Answers
	w       http.ResponseWriter
	r       *http.Request
	s       *claim.Session
	content *intake.Paced
	in      *bufio.Reader  // of content
	whole   bool           // all content was read in advance
	line    int            // bytes held for a long line
	message answer.Message // the current message
	results results
	skipped bool // content was not read to its end: nothing can follow
}

// readers is a pool of readers of the framed form.
var readers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, chunk) }}

// framed answers POST {responses} in the framed form.
func (a *Answers) framed(w http.ResponseWriter, r *http.Request) {
	s := SessionOf(r)
	s.Claim().Charge(intake.HoldOf(r))
	p := &post{Answers: a, w: w, r: r, s: s, content: a.Pace.Pieces(w, r), in: readers.Get().(*bufio.Reader)}
	defer func() {
		p.in.Reset(nil)
		readers.Put(p.in)
	}()
	err := s.Answerable()
	if err == nil {
		err = p.open()
	}
	if err == nil {
		err = errors.Join(p.judge(), p.results.await())
	}
	for _, one := range p.results.all {
		p.Judged(one.Status)
	}
	if r.Context().Err() != nil {
		panic(http.ErrAbortHandler) // nobody is there to be answered
	}
	if err != nil {
		judged(w, p.results.all, err)
		refusal := problem.Of(err)
		refusal.Unread = true
		refusal.Write(w, r)
		return
	}
	wire.BoundWrite(w, 0) // a slow visitor may have held this back
	if p.skipped {
		defer wire.Leaving(w, r)()
	}
	runtime.Gosched() // as for JSON
	writeJSON(w, http.StatusAccepted, schema.Results{Results: p.results.all})
}

// readAtOnce is how many bytes of a POST are read before any are judged. While a message waits for
// a slow visitor, net/http notices that the program left only if it has read all content.
const readAtOnce = 512 << 10

// open opens the content, and reads it if it is short.
func (p *post) open() error {
	if n := p.r.ContentLength; n < 0 || n > readAtOnce {
		p.in.Reset(p.content)
		if !p.content.Grow(chunk) {
			return intake.Crowded()
		}
		return nil
	}
	defer p.s.Work(p.r.Context())()
	content, err := p.Pace.ReadOf(p.w, p.r, readAtOnce)
	p.in.Reset(bytes.NewReader(content))
	p.whole = true
	return err
}

// shortLine is the length in bytes up to which a line need not be counted: the buffer that it is
// read into is.
const shortLine = 4 << 10

// grow holds n more bytes for a long line.
func (p *post) grow(n int) error {
	if !p.content.Grow(n) {
		return intake.Crowded()
	}
	p.line += n
	return nil
}

// arriving notes that content is coming, which shows that the program lives. The caller calls there
// once it has come.
func (p *post) arriving() (there func()) {
	if p.whole {
		return func() {}
	}
	return p.s.Work(p.r.Context())
}

// judge judges messages up to the end of the content. Results before an error stand.
func (p *post) judge() error {
	for !p.skipped {
		there := p.arriving()
		line, err := envelope.ReadLine(p.in, p.grow)
		there()
		if err == io.EOF {
			break
		}
		if err == nil && len(line) > shortLine {
			err = p.grow(len(line)) // what is decoded of it
		}
		if err != nil {
			return unframed(err)
		}
		if len(p.results.all) >= p.Registry.Options().Limits.Batch {
			return &problem.Problem{Code: schema.CodeBadMember, Detail: "More messages than limits.batch allows. Send them in several requests."}
		}
		if err := p.message.DecodeLine(line, p.Bounds.Fields); err != nil {
			return err
		}
		if err := p.results.add(p.take(&p.message)); err != nil {
			return err
		}
		p.content.Shrink(p.line)
		p.line = 0
	}
	if p.results.all == nil {
		p.results.all = []schema.Result{}
	}
	return nil
}

// take judges one message and reads its content. It returns what [Answers.soon] returns.
func (p *post) take(m *answer.Message) (schema.Result, func() (claim.Result, error), error) {
	if m.ContentLength > int64(p.Bounds.PartBytes) {
		result, err := p.long(m)
		return result, nil, err
	}
	if !m.Follows {
		return p.soon(p.r.Context(), p.s, m)
	}
	there := p.arriving()
	content, err := p.content.Take(p.in, int(m.ContentLength))
	if err == nil {
		m.Content = content
		defer p.content.Shrink(cap(content))
		err = envelope.ReadEnd(p.in)
	}
	there()
	if err != nil {
		return schema.Result{}, nil, unframed(err)
	}
	return p.soon(p.r.Context(), p.s, m)
}

// long judges a message with more content than is taken whole. The content is relayed as it comes,
// and the message must be the last. If it is not relayed, nothing of it is read.
func (p *post) long(m *answer.Message) (result schema.Result, err error) {
	stream, result, err := p.relays(m)
	if stream == nil {
		p.skipped = true
		return result, err
	}
	defer p.s.Work(p.r.Context())()
	p.content.Free(true)
	content := io.LimitReader(p.in, m.ContentLength).(*io.LimitedReader)
	whole, late := p.relay(content, stream)
	p.content.Free(false)
	switch {
	case late:
		if p.skipped = content.N > 0; !p.skipped {
			if err := p.last(); err != nil {
				return result, err
			}
		}
		result.Status = schema.ResultStatus(claim.Late)
		return result, nil
	case !whole || content.N > 0:
		_, _ = p.s.Delivery(m.ID).Abort()
		return result, unframed(io.ErrUnexpectedEOF)
	}
	if err := p.last(); err != nil {
		_, _ = p.s.Delivery(m.ID).Abort()
		return result, err
	}
	result.Status = schema.ResultStatus(stream.Close(p.r.Context(), m.More, m.Last()))
	return result, nil
}

// relay passes on content as [Answers.pump] does. Content that was read in advance has no pace.
func (p *post) relay(content io.Reader, stream *claim.Stream) (whole, late bool) {
	if !p.whole {
		return p.pump(p.w, p.r, content, stream)
	}
	all, err := io.ReadAll(content)
	return err == nil, !stream.Write(p.r.Context(), all)
}

// last returns an error unless the content ends here, with LF.
func (p *post) last() error {
	if err := envelope.ReadEnd(p.in); err != nil {
		return unframed(err)
	}
	switch _, err := envelope.ReadLine(p.in, p.grow); err {
	case io.EOF:
		return nil
	case nil:
		return &problem.Problem{Code: schema.CodeBadJSON, Detail: "A message follows one with more content than limits.partBytes. Send it in a request of its own."}
	default:
		return unframed(err)
	}
}

// relays begins to relay the content of a message as it comes. If the stream is nil, the result is
// the result of the message.
func (p *post) relays(m *answer.Message) (*claim.Stream, schema.Result, error) {
	response, part := m.Type == schema.TypeResponse, m.Type == schema.TypePart
	if m.ID == "" || !response && !part {
		r, err := p.one(p.r.Context(), p.s, m) // it has no content
		return nil, r, err
	}
	f := p.refused(m)
	var stream *claim.Stream
	var result claim.Result
	var err error
	switch {
	case f != nil:
	case response:
		var begun *claim.Answer
		if begun, f = m.Relayed(); f == nil {
			stream, result, err = p.s.Delivery(m.ID).Stream(claim.Coming{Answer: begun, Fits: m.Fits})
		}
	default:
		if _, f = m.Part(0); f == nil {
			stream, result, err = p.s.Delivery(m.ID).Stream(claim.Coming{Seq: m.Seq})
		}
	}
	if fault := faultOf(err); fault != nil {
		f = fault
	}
	if f != nil {
		return nil, invalid(m.ID, f), nil
	}
	return stream, without(p.lostCookie(p.s.Claim(), m), schema.Result{ID: m.ID, Status: schema.ResultStatus(result)}), err
}

// unframed returns the problem of content in the framed form after which nothing can be read.
func unframed(err error) error {
	if p, ok := errors.AsType[*problem.Problem](err); ok {
		return p
	}
	why := err.Error()
	if errors.Is(err, io.ErrUnexpectedEOF) {
		why = "the content ends within a message"
	}
	return &problem.Problem{Code: schema.CodeBadJSON, Detail: "The content is not as expected: " + why + ". The results of the messages before stand."}
}
