package envelope

// Form is a form of stream in which a gateway writes messages: what surrounds the JSON of each, and
// where its content is.
type Form interface {
	// Media returns the media type.
	Media() string
	// Heartbeat returns what is sent to show life while there is no message.
	Heartbeat() string
	// Beside reports whether content stands beside its message, as [Request.Beside] describes.
	Beside() bool
	// Begin appends what precedes the JSON of a message with a cursor.
	Begin(b []byte, cursor string) []byte
	// End appends what follows it, including content if that stands beside the message.
	End(b, content []byte) []byte
}

// The forms of stream.
var (
	// NDJSON is one message a line.
	NDJSON Form = ndjson{}
	// Events are server-sent events (HTML, 9.2).
	Events Form = events{}
	// Framed is one message a line, with its content beside it.
	Framed Form = framed{}
)

type ndjson struct{}

func (ndjson) Media() string                   { return "application/x-ndjson" }
func (ndjson) Heartbeat() string               { return "\n" }
func (ndjson) Beside() bool                    { return false }
func (ndjson) Begin(b []byte, _ string) []byte { return b }
func (ndjson) End(b, _ []byte) []byte          { return append(b, '\n') }

type events struct{}

func (events) Media() string          { return "text/event-stream" }
func (events) Heartbeat() string      { return ":\n\n" }
func (events) Beside() bool           { return false }
func (events) End(b, _ []byte) []byte { return append(b, "\n\n"...) }

func (events) Begin(b []byte, cursor string) []byte {
	b = append(b, "id: "...)
	b = append(b, cursor...)
	return append(b, "\ndata: "...)
}

type framed struct{}

func (framed) Media() string                   { return MediaFramed }
func (framed) Heartbeat() string               { return "\n" }
func (framed) Beside() bool                    { return true }
func (framed) Begin(b []byte, _ string) []byte { return b }

func (framed) End(b, content []byte) []byte {
	if b = append(b, '\n'); len(content) > 0 {
		b = append(append(b, content...), '\n')
	}
	return b
}

// Answers is a form in which a program writes its messages.
type Answers interface {
	// Media returns the media type.
	Media() string
	// Response returns a response, in a slice of the exact length.
	Response(id string, status int, fields Pairs, content []byte, t Tail) []byte
	// Part returns a part. seq counts from 1.
	Part(id string, seq int, content []byte, t Tail) []byte
	// Interim returns an informational response.
	Interim(id string, status int, fields Pairs) []byte
	// Abort returns an abort. Invalid UTF-8 in the reason becomes question marks.
	Abort(id, reason string) []byte
	// Join returns the content of a POST of messages. A single message is returned unchanged.
	Join(messages [][]byte) []byte
}

// The forms of answers.
var (
	// JSONAnswers are JSON. Content is in base64 if it is not UTF-8, or if its control characters
	// would make text longer than base64.
	JSONAnswers Answers = jsonAnswers{}
	// FramedAnswers are lines of JSON with content beside them.
	FramedAnswers Answers = framedAnswers{}
)
