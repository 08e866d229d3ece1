package envelope

import (
	"bufio"
	"errors"
	"io"
	"strconv"
)

// MediaFramed is the media type of the framed form: lines of JSON, each followed by the bytes of
// its content.
const MediaFramed = "application/vnd.reversehttp"

// MostLine bounds the line of a message in the framed form, in bytes, with its LF.
const MostLine = 256 << 10

// mostLength is the largest contentLength: 2^53 - 1, which every program can represent.
const mostLength = 1<<53 - 1

// Framing errors in the framed form. Nothing can be read after one.
var (
	// ErrLine is a line that is longer than [MostLine].
	ErrLine = errors.New("a line has more than " + strconv.Itoa(MostLine) + " bytes")
	// ErrLength is a contentLength that is not an integer from 0 to 2^53 - 1.
	ErrLength = errors.New("contentLength is an integer from 0 to 9007199254740991")
	// ErrFraming is content without an LF after it.
	ErrFraming = errors.New("LF does not follow the content")
)

// ReadLine returns the next line of a message, without its LF, and skips heartbeats. The line is
// valid until the next read from in. If it does not fit into the buffer of in, ReadLine calls grow
// with the number of additional bytes and allocates them unless grow returns an error; a nil grow
// allows all. The error is [ErrLine], that of grow, or that of in: [io.EOF] between messages, and
// [io.ErrUnexpectedEOF] within a line.
func ReadLine(in *bufio.Reader, grow func(n int) error) ([]byte, error) {
	var long []byte // the beginning of a line that does not fit into the buffer
	for {
		some, err := in.ReadSlice('\n')
		switch {
		case len(long)+len(some) > MostLine:
			return nil, ErrLine
		case err == bufio.ErrBufferFull:
			if grow != nil {
				if err := grow(len(some)); err != nil {
					return nil, err
				}
			}
			long = append(long, some...)
			continue
		case err == io.EOF && len(long)+len(some) > 0:
			return nil, io.ErrUnexpectedEOF
		case err != nil:
			return nil, err
		case long != nil:
			some, long = append(long, some...), nil
		}
		if line := trimEnd(some); len(line) > 0 {
			return line, nil
		}
	}
}

// trimEnd returns a line without its end and the white space before it.
func trimEnd(line []byte) []byte {
	n := len(line)
	for n > 0 && (line[n-1] == '\n' || line[n-1] == '\r' || line[n-1] == ' ' || line[n-1] == '\t') {
		n--
	}
	return line[:n]
}

// ReadEnd reads the LF that follows content. The error is [ErrFraming] if another byte follows, or
// that of in, with [io.ErrUnexpectedEOF] at the end.
func ReadEnd(in *bufio.Reader) error {
	switch c, err := in.ReadByte(); {
	case err == io.EOF:
		return io.ErrUnexpectedEOF
	case err != nil:
		return err
	case c != '\n':
		return ErrFraming
	}
	return nil
}

// DecodeLine decodes the line of a program's message in the framed form into a, reusing the lists
// of fields in a. The message may have up to fields fields, and as many trailers. The caller must
// read the content beside the line, as Beside says, even if the message is faulty. The error is one
// of [DecodeAnswers], or a [*Fault] with [ErrLength], after which the beginning of the next message
// is unknown.
func (a *Answer) DecodeLine(line []byte, fields int) (err error) {
	d := answers{fields: fields, framed: true, headers: a.Headers[:0], trailers: a.Trailers[:0]}
	*a = Answer{}
	if err := CheckShape(line); err != nil {
		return err
	}
	r := newReader(line, true)
	defer r.done()
	d.reader = r
	if r.peek() == '{' {
		err = d.answer(a, r.skip)
	} else if err = r.skip(); err == nil {
		a.Fault = &Fault{Err: ErrMessage}
	}
	if err == nil {
		err = r.end()
	}
	if err != nil {
		*a = Answer{}
	}
	return err
}

// Beside describes the content beside a message in the framed form. The zero value means that there
// is none, and the next message follows.
type Beside struct {
	// Follows reports whether content and an LF follow the line.
	Follows bool
	// ContentLength is the length of that content, in bytes.
	ContentLength int64
}

// read reads the member contentLength.
func (b *Beside) read(r *reader) error {
	*b = Beside{}
	switch c := r.peek(); {
	case c == 'n':
		return r.word("null")
	case c < '0' || c > '9':
		return r.malformed(ErrLength)
	}
	digits, err := r.number()
	if err != nil {
		return err
	}
	n, err := strconv.ParseInt(string(digits), 10, 64)
	if err != nil || n > mostLength {
		return r.malformed(ErrLength)
	}
	*b = Beside{true, n}
	return nil
}
