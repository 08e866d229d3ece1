// Package quota counts what claims use, by maker and by label, and enforces limits.
package quota

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
)

// Kind is a kind of usage.
type Kind int

// The kinds. The first three count what exists at a time; the others count usage in a minute, a day
// or a month of UTC.
const (
	Claims Kind = iota
	Sessions
	InFlight
	RequestsPerMinute
	RequestBytesPerDay
	ResponseBytesPerDay
	RequestBytesPerMonth
	ResponseBytesPerMonth
	kinds
)

var names = [kinds]string{
	"claims", "sessions", "inFlight", "requestsPerMinute", "requestBytesPerDay", "responseBytesPerDay", "requestBytesPerMonth", "responseBytesPerMonth",
}

// String returns the name of a kind in flags, files, problems and metrics.
func (k Kind) String() string { return names[k] }

// bytes reports whether a kind counts bytes. Usage of these kinds is stored beyond the process.
func (k Kind) bytes() bool { return k >= RequestBytesPerDay }

// window returns the beginning and the end of the current period of a kind, or zero values for
// kinds without a period.
func (k Kind) window(now time.Time) (from, to time.Time) {
	now = now.UTC()
	switch k {
	case RequestsPerMinute:
		from = now.Truncate(time.Minute)
		return from, from.Add(time.Minute)
	case RequestBytesPerDay, ResponseBytesPerDay:
		from = time.Date(now.Year(), now.Month(), now.Day(), 0, 0, 0, 0, time.UTC)
		return from, from.AddDate(0, 0, 1)
	case RequestBytesPerMonth, ResponseBytesPerMonth:
		from = time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, time.UTC)
		return from, from.AddDate(0, 1, 0)
	}
	return time.Time{}, time.Time{}
}

// Limits has the limit of each kind. Zero means no bound.
type Limits [kinds]int64

// any reports whether any kind has a limit.
func (l *Limits) any() bool { return l != nil && *l != Limits{} }

// set sets the limit of the kind with a name to an amount such as 1000 or 5GiB.
func (l *Limits) set(name, amount string) error {
	k := Kind(slices.Index(names[:], name))
	if k < 0 {
		return fmt.Errorf("there is no quota %q; there are %s", name, strings.Join(names[:], ", "))
	}
	n, err := humanize.ParseBytes(amount)
	if err != nil || n < 1 || n > 1<<62 || !k.bytes() && strings.Trim(amount, "0123456789") != "" {
		return fmt.Errorf("%s=%s: use a whole number above 0, or for bytes also a size such as 5GiB", name, amount)
	}
	l[k] = int64(n)
	return nil
}

// Parse parses limits from a flag: NAME=AMOUNT. It returns nil if there are none.
func Parse(pairs []string) (*Limits, error) {
	var l *Limits
	for _, pair := range pairs {
		name, amount, ok := strings.Cut(pair, "=")
		if !ok {
			return nil, fmt.Errorf("%q: use NAME=AMOUNT", pair)
		}
		if l == nil {
			l = new(Limits)
		}
		if err := l.set(name, amount); err != nil {
			return nil, err
		}
	}
	return l, nil
}

// UnmarshalJSON implements [json.Unmarshaler]: an object with amounts by name.
func (l *Limits) UnmarshalJSON(content []byte) error {
	var amounts map[string]any
	d := json.NewDecoder(bytes.NewReader(content))
	d.UseNumber() // numbers as text, so that none is rounded
	if err := d.Decode(&amounts); err != nil {
		return err
	}
	for name, amount := range amounts {
		if err := l.set(name, fmt.Sprint(amount)); err != nil {
			return err
		}
	}
	return nil
}

// MarshalJSON implements [json.Marshaler].
func (l Limits) MarshalJSON() ([]byte, error) {
	amounts := map[string]int64{}
	for k, n := range l {
		if n > 0 {
			amounts[names[k]] = n
		}
	}
	return json.Marshal(amounts)
}

// Of is the kind of owner that a quota applies to.
type Of string

// The kinds of owners.
const (
	Account Of = "account"
	Address Of = "address"
	Label   Of = "label"
)

// Exceeded is the error for a quota that is used up.
type Exceeded struct {
	Of   Of
	Kind Kind
	// After is how long to wait before trying again.
	After time.Duration
}

// Error returns the text of the error.
func (e *Exceeded) Error() string { return fmt.Sprintf("quota: %s of the %s", e.Kind, e.Of) }
