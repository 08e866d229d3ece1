package engine

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"maps"
	"strings"
	"sync"
)

// shared is a node's copy of what all nodes share beyond claims and heartbeats: values by a key
// with one of the prefixes below.
type shared struct {
	bucket bucket
	node   string // this one
	log    *slog.Logger
	read   chan struct{} // closed once everything was read

	mu      sync.Mutex // held while the copy changes, and while changed and used are called
	values  map[string][]byte
	changed func(label string, value []byte)
	used    func(node, owner string, value []byte)
	seen    map[string]bool // keys read in this round; nil between rounds
	lost    bool            // the engine lost data before this round
}

// The prefixes of keys.
const (
	withdrawnPrefix = "withdrawn."
	domainPrefix    = "domain."
	secretPrefix    = "secret."
	usagePrefix     = "usage."
)

// secretBytes is the length of a secret.
const secretBytes = 32

func newShared(b bucket, node string, log *slog.Logger) *shared {
	return &shared{bucket: b, node: node, log: log, read: make(chan struct{}), values: make(map[string][]byte)}
}

// Withdrawn implements [admission.WithdrawnRecords].
func (s *shared) Withdrawn() (map[string][]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make(map[string][]byte)
	for key, value := range s.values {
		if label, ok := strings.CutPrefix(key, withdrawnPrefix); ok {
			all[label] = value
		}
	}
	return all, nil
}

// Withdraw implements [admission.WithdrawnRecords].
func (s *shared) Withdraw(label string, value []byte) error {
	return s.set(context.Background(), withdrawnPrefix+label, value)
}

// Restore implements [admission.WithdrawnRecords].
func (s *shared) Restore(label string) error {
	return s.set(context.Background(), withdrawnPrefix+label, nil)
}

// set replaces the value of a key, whatever it is; nil removes it.
func (s *shared) set(ctx context.Context, key string, value []byte) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	_, err := s.bucket.put(ctx, key, value, anyRevision)
	return err
}

// unset removes a value of a key, unless the key has another by now.
func (s *shared) unset(ctx context.Context, key string, value []byte) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	there, revision, err := s.bucket.get(ctx, key)
	switch {
	case errors.Is(err, errNone), err == nil && !bytes.Equal(there, value):
		return nil
	case err != nil:
		return err
	}
	if _, err = s.bucket.put(ctx, key, nil, revision); errors.Is(err, errOther) {
		return nil
	}
	return err
}

// WithdrawnChanged implements [Engine].
func (s *shared) WithdrawnChanged(f func(label string, value []byte)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, value := range s.values {
		if label, ok := strings.CutPrefix(key, withdrawnPrefix); ok {
			f(label, value)
		}
	}
	s.changed = f
}

// Domain implements [Engine].
func (s *shared) Domain(name string) (label string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return string(s.values[domainPrefix+name])
}

// SetDomain implements [Engine].
func (s *shared) SetDomain(ctx context.Context, name, label string) error {
	return s.set(ctx, domainPrefix+name, []byte(label))
}

// UnsetDomain implements [Engine].
func (s *shared) UnsetDomain(ctx context.Context, name, label string) error {
	return s.unset(ctx, domainPrefix+name, []byte(label))
}

// Secret implements [Engine].
func (s *shared) Secret(ctx context.Context, purpose string) ([]byte, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	for {
		secret, _, err := s.bucket.get(ctx, secretPrefix+purpose)
		if !errors.Is(err, errNone) {
			return secret, err
		}
		secret = make([]byte, secretBytes)
		_, _ = rand.Read(secret) // never fails
		if _, err := s.bucket.put(ctx, secretPrefix+purpose, secret, 0); !errors.Is(err, errOther) {
			return secret, err
		}
	}
}

// begin implements [sink].
func (s *shared) begin(lost bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen, s.lost = make(map[string]bool), lost
}

// take implements [sink].
func (s *shared) take(e event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seen != nil {
		s.seen[e.key] = true
	}
	s.apply(e.key, e.value)
}

// apply makes a change. The caller holds s.mu.
func (s *shared) apply(key string, value []byte) {
	was, ok := s.values[key]
	switch {
	case value == nil && !ok, value != nil && ok && bytes.Equal(was, value):
		return
	case value == nil:
		delete(s.values, key)
	default:
		s.values[key] = value
	}
	if label, ok := strings.CutPrefix(key, withdrawnPrefix); ok && s.changed != nil {
		s.changed(label, value)
	}
	if node, owner, ok := ownerOf(key); ok && s.used != nil {
		s.used(node, owner, value)
	}
}

// whole implements [sink]. What the engine lost is written again.
func (s *shared) whole() {
	for key, value := range s.missing() {
		ctx, cancel := bounded(context.Background())
		if _, err := s.bucket.put(ctx, key, value, 0); err != nil && !errors.Is(err, errOther) {
			s.log.Error("cannot write again what the engine lost", "key", key, "error", err)
		}
		cancel()
	}
	select {
	case <-s.read:
	default:
		close(s.read)
	}
}

// missing ends a round. It returns the values that the engine lost in it, without those that another
// node writes again.
func (s *shared) missing() map[string][]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	lost := make(map[string][]byte)
	for key, value := range maps.Clone(s.values) {
		switch {
		case s.seen[key]:
		case s.lost:
			if node, _, ok := ownerOf(key); !ok || node == s.node {
				lost[key] = value
			}
		default:
			s.apply(key, nil)
		}
	}
	s.seen, s.lost = nil, false
	return lost
}
