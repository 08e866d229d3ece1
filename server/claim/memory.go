package claim

import (
	"context"
	"sync"
)

// memoryRecords are [Records] that end with the process.
type memoryRecords struct {
	mu   sync.Mutex // guards what follows
	last uint64     // revision
	kept map[string]Kept
}

// NewMemoryRecords returns empty [Records] that end with the process.
func NewMemoryRecords() Records { return &memoryRecords{kept: make(map[string]Kept)} }

// Get implements [Records].
func (m *memoryRecords) Get(_ context.Context, label string) (Record, uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	k, ok := m.kept[label]
	if !ok {
		return Record{}, 0, ErrNoRecord
	}
	return k.Record, k.Revision, nil
}

// Create implements [Records].
func (m *memoryRecords) Create(_ context.Context, r Record) (uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.kept[r.Label]; ok {
		return 0, ErrExists
	}
	return m.put(r), nil
}

// Update implements [Records].
func (m *memoryRecords) Update(_ context.Context, r Record, revision uint64) (uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if k, ok := m.kept[r.Label]; !ok || k.Revision != revision {
		return 0, ErrMoved
	}
	return m.put(r), nil
}

// put keeps a record. The caller holds m.mu.
func (m *memoryRecords) put(r Record) uint64 {
	m.last++
	m.kept[r.Label] = Kept{r, m.last}
	return m.last
}

// Delete implements [Records].
func (m *memoryRecords) Delete(_ context.Context, label string, revision uint64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if k, ok := m.kept[label]; !ok || k.Revision != revision {
		return ErrMoved
	}
	delete(m.kept, label)
	return nil
}
