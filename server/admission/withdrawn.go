package admission

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// Withdrawal is a label that the operator took down: nobody may claim it, and visitors get a
// problem that says so.
type Withdrawal struct {
	Label string `json:"label"`
	// AtMs is when the label was taken down, in milliseconds since 1970.
	AtMs int64 `json:"atMs"`
	// Reason is the operator's reason. It is for operators only.
	Reason string `json:"reason,omitempty"`
}

// WithdrawnRecords store withdrawals beyond the process.
type WithdrawnRecords interface {
	// Withdrawn returns the stored values, by label.
	Withdrawn() (map[string][]byte, error)
	// Withdraw stores the value for a label, and Restore deletes it.
	Withdraw(label string, value []byte) error
	Restore(label string) error
}

// SharedRecords are [WithdrawnRecords] that others change too, such as other nodes.
type SharedRecords interface {
	WithdrawnRecords
	// WithdrawnChanged calls f for each withdrawn label, and then for each that anyone withdraws or
	// restores; the value of a restored label is nil.
	WithdrawnChanged(f func(label string, value []byte))
}

// Withdrawn is the set of labels that were taken down. Nil has none.
type Withdrawn struct {
	records WithdrawnRecords

	mu     sync.Mutex // held while the labels change
	labels atomic.Pointer[map[string]Withdrawal]

	elsewhere atomic.Pointer[func(label string)] // called for a label that others withdraw
}

// NewWithdrawn returns the labels in records. If records is nil, there are none, and later
// withdrawals end with the process. Changes of [SharedRecords] take effect as they come.
func NewWithdrawn(records WithdrawnRecords) (*Withdrawn, error) {
	w := &Withdrawn{records: records}
	w.labels.Store(&map[string]Withdrawal{})
	if shared, ok := records.(SharedRecords); ok {
		shared.WithdrawnChanged(w.changed)
		return w, nil
	}
	if records == nil {
		return w, nil
	}
	kept, err := records.Withdrawn()
	if err != nil {
		return nil, err
	}
	for label, value := range kept {
		w.changed(label, value)
	}
	return w, nil
}

// Elsewhere calls f for each label that others withdraw from now on. f must return soon.
func (w *Withdrawn) Elsewhere(f func(label string)) { w.elsewhere.Store(&f) }

// changed notes a change of the records. A label whose value is unreadable is withdrawn.
func (w *Withdrawn) changed(label string, value []byte) {
	one := Withdrawal{}
	_ = json.Unmarshal(value, &one)
	one.Label = label
	before := w.edit(func(labels map[string]Withdrawal) {
		if value == nil {
			delete(labels, label)
		} else {
			labels[label] = one
		}
	})
	if _, had := before[label]; had || value == nil {
		return
	}
	if f := w.elsewhere.Load(); f != nil {
		(*f)(label)
	}
}

// edit changes the labels, and returns those before. It waits for changes under way.
func (w *Withdrawn) edit(change func(map[string]Withdrawal)) (before map[string]Withdrawal) {
	w.mu.Lock()
	defer w.mu.Unlock()
	before = *w.labels.Load()
	labels := maps.Clone(before)
	change(labels)
	w.labels.Store(&labels)
	return before
}

// Has reports whether a label is withdrawn.
func (w *Withdrawn) Has(label string) bool {
	if w == nil {
		return false
	}
	_, has := (*w.labels.Load())[label]
	return has
}

// All returns all withdrawals, sorted by label.
func (w *Withdrawn) All() []Withdrawal {
	return slices.SortedFunc(maps.Values(*w.labels.Load()), func(a, b Withdrawal) int { return strings.Compare(a.Label, b.Label) })
}

// Add withdraws labels, effective at once. An error means that the withdrawal may not outlive the
// process.
func (w *Withdrawn) Add(all ...Withdrawal) (err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	labels := maps.Clone(*w.labels.Load())
	for _, one := range all {
		labels[one.Label] = one
	}
	w.labels.Store(&labels)
	if w.records == nil {
		return nil
	}
	for _, one := range all {
		value, e := json.Marshal(one)
		if e == nil {
			e = w.records.Withdraw(one.Label, value)
		}
		if e != nil && err == nil {
			err = fmt.Errorf("%s: %w", one.Label, e)
		}
	}
	return err
}

// Restore lets a label be claimed again, once that is stored. It reports whether the label was
// withdrawn.
func (w *Withdrawn) Restore(label string) (was bool, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	labels := maps.Clone(*w.labels.Load())
	if _, was = labels[label]; !was {
		return false, nil
	}
	if w.records != nil {
		if err := w.records.Restore(label); err != nil {
			return true, err
		}
	}
	delete(labels, label)
	w.labels.Store(&labels)
	return true, nil
}
