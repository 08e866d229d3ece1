package claim

// Field is one field line of a request or an answer. Its strings are bytes as they are
// on the wire of HTTP.
type Field struct{ Name, Value string }

// Request is what a visitor asked. The core reads Method and Keyed; the rest it
// carries from door to door.
type Request struct {
	Method      string
	Target      string
	URL         string
	HTTPVersion string
	RemoteAddr  string
	Fields      []Field
	Content     *Content
	// Keyed says that the request has a field by which its handler knows it again.
	Keyed bool
	// Upgrade is the protocol that the visitor asks for. Empty means none.
	Upgrade string
	// ReplayOf is the exchange whose recorded request this repeats. Empty means that a visitor asked.
	ReplayOf string
	// Interims takes the interim responses. Nil means that the visitor takes none.
	Interims Informer
}

// Informer takes interim responses: Inform is called with each, before [Exchange.Do] returns.
type Informer interface{ Inform(*Answer) }

// Answer is what a handler said: all of it, or with More its beginning, which
// [Exchange.Next] continues.
type Answer struct {
	Status  int
	Fields  []Field
	Content []byte
	More    bool
	// Trailers follow the content. Those of an answer with More are there when
	// Next has given all.
	Trailers []Field

	hash    uint64 // tells it from others; set before it is given to an exchange
	relayed bool   // its content comes by the stream of [Delivery.Stream]
	// confirms is told when the visitor took content that came on a link; nil for any other answer.
	confirms *confirmations
}

// upgraded tells whether the answer upgrades the visitor's connection: then time
// between its parts is no fault.
func (a *Answer) upgraded() bool { return a.Status == 101 }

// weight is what the request costs in memory, in bytes.
func (r *Request) weight() int { return len(r.Content.Bytes()) + len(r.Target) + WeightOf(r.Fields) }

// WeightOf returns what fields cost in memory, in bytes.
func WeightOf(fields []Field) (n int) {
	for _, f := range fields {
		n += FieldWeight + len(f.Name) + len(f.Value)
	}
	return n
}

// weight is what the answer costs in memory, in bytes.
func (a *Answer) weight() int { return len(a.Content) + WeightOf(a.Fields) + WeightOf(a.Trailers) }

// FieldWeight is what a field costs in memory beside its bytes.
const FieldWeight = 64
