package quota

// Meter counts the usage of one visitor's request. Nil counts nothing.
type Meter struct {
	counted
	book *Book
}

// The kinds of bytes in each direction.
var (
	in  = [2]Kind{RequestBytesPerDay, RequestBytesPerMonth}
	out = [2]Kind{ResponseBytesPerDay, ResponseBytesPerMonth}
)

// Begin counts a request for the claim of a label, until [Meter.End]. It returns an [*Exceeded] if
// a quota is used up. The meter is nil if nothing is counted.
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

// End ends the count of the request.
func (m *Meter) End() {
	if m != nil {
		m.give(InFlight)
		m.book.Tell()
	}
}

// Refund uncounts a request that a policy refused: refused requests use none of the quota of
// requests.
func (m *Meter) Refund() {
	if m != nil {
		m.give(RequestsPerMinute)
	}
}

// In counts n bytes received of the request. It returns an [*Exceeded] if they exceed a quota, and
// [ErrUnkept] if usage cannot be stored.
func (m *Meter) In(n int) error { return m.pass(in, n, true) }

// Out counts n bytes of the response before they are sent. It returns the same errors as In, and
// then the bytes must not be sent.
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
