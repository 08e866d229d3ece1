package quota

// Meter counts what one request of a visitor uses. Nil counts nothing.
type Meter struct {
	counted
	book *Book
}

// The kinds of bytes in each direction.
var (
	in  = [2]Kind{RequestBytesPerDay, RequestBytesPerMonth}
	out = [2]Kind{ResponseBytesPerDay, ResponseBytesPerMonth}
)

// Begin counts a request for the claim of a label, until [Meter.End]. It fails with an [*Exceeded]. The meter is nil where
// nothing is counted.
func (b *Book) Begin(label string) (*Meter, error) {
	if b == nil {
		return nil, nil
	}
	defer b.Tell()
	c := b.of(label)
	if c.maker == nil && c.label == nil {
		return nil, nil
	}
	for _, o := range c.both() {
		if err := o.exhausted(); err != nil {
			return nil, err
		}
	}
	if err := c.take(InFlight); err != nil {
		return nil, err
	}
	if err := c.take(RequestsPerMinute); err != nil {
		c.give(InFlight)
		return nil, err
	}
	return &Meter{c, b}, nil
}

// End says that the request is over.
func (m *Meter) End() {
	if m != nil {
		m.give(InFlight)
		m.book.Tell()
	}
}

// Refund says that the request was refused before it was let in: who may not come in uses none of the quota of requests.
func (m *Meter) Refund() {
	if m != nil {
		m.give(RequestsPerMinute)
	}
}

// In counts bytes that came of the request. It fails with an [*Exceeded] where they are more than there may be, and with [ErrUnkept].
func (m *Meter) In(n int) error { return m.pass(in, n, true) }

// Out counts bytes that are about to be sent of the response. It fails as In does, and they may not be sent then.
func (m *Meter) Out(n int) error { return m.pass(out, n, false) }

func (m *Meter) pass(both [2]Kind, n int, forced bool) error {
	if m == nil || n <= 0 {
		return nil
	}
	err := m.maker.pass(both, int64(n), forced)
	if also := m.label.pass(both, int64(n), forced); err == nil {
		err = also
	}
	return err
}
