package claim

// Field is one field line of a request or an answer. Its strings hold the bytes as they are on the
// wire.
type Field struct{ Name, Value string }

// Request is a visitor's request. The core reads Method and Keyed, and passes the rest on unread.
type Request struct {
	Method string
	Target string
	URL    string
	// Base is the public URL that the visitor used, unless that is the label's. Empty means the label's.
	Base        string
	HTTPVersion string
	RemoteAddr  string
	Fields      []Field
	Content     *Content
	// Keyed says that the request has a field by which its handler recognises a repeat.
	Keyed bool
	// Traceparent and Tracestate are its trace context (W3C Trace Context). Empty means none.
	Traceparent, Tracestate string
	// Upgrade is the protocol that the visitor asks for. Empty means none.
	Upgrade string
	// ReplayOf is the exchange whose recorded request this repeats. Empty means that a visitor asked.
	ReplayOf string
	// Entry is the node that accepted the request, if that is not this one. Nil means that it is.
	Entry Entry
	// Interims takes the interim responses. Nil means that the visitor accepts none.
	Interims Informer
}

// before returns what another node that had the request told its entry, or nil.
func (r *Request) before() *Note {
	if r.Entry == nil {
		return nil
	}
	return r.Entry.Before()
}

// Informer receives interim responses. Inform is called with each, before [Exchange.Do] returns.
type Informer interface{ Inform(*Answer) }

// Answer is a handler's answer: the whole of it, or with More its beginning, which [Exchange.Next]
// continues.
type Answer struct {
	Status  int
	Fields  []Field
	Content []byte
	More    bool
	// Trailers follow the content. Those of an answer with More are set once Next has returned all
	// content.
	Trailers []Field

	hash    uint64 // distinguishes it from others; set before an exchange gets it
	relayed bool   // its content comes by the stream of [Delivery.Stream]
	// confirms learns when the visitor has taken content that came on a link; nil for any other
	// answer.
	confirms *confirmations
}

// upgraded reports whether the answer upgrades the visitor's connection. Then its parts have no
// deadline.
func (a *Answer) upgraded() bool { return a.Status == 101 }

// weight returns the memory that the request takes, in bytes.
func (r *Request) weight() int { return len(r.Content.Bytes()) + len(r.Target) + WeightOf(r.Fields) }

// WeightOf returns the memory that fields take, in bytes.
func WeightOf(fields []Field) (n int) {
	for _, f := range fields {
		n += FieldWeight + len(f.Name) + len(f.Value)
	}
	return n
}

// weight returns the memory that the answer takes, in bytes.
func (a *Answer) weight() int { return len(a.Content) + WeightOf(a.Fields) + WeightOf(a.Trailers) }

// FieldWeight is the memory that a field takes in addition to its bytes.
const FieldWeight = 64
