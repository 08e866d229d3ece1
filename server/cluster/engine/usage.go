package engine

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"strings"
)

// usageKey returns the key of what a node has used for an owner. Owners have characters that keys may
// not have.
func usageKey(node, owner string) string {
	return usagePrefix + node + "." + base64.RawURLEncoding.EncodeToString([]byte(owner))
}

// ownerOf returns the node and the owner of a key of usageKey. Names of nodes may have dots.
func ownerOf(key string) (node, owner string, ok bool) {
	rest, ok := strings.CutPrefix(key, usagePrefix)
	if !ok {
		return "", "", false
	}
	dot := strings.LastIndexByte(rest, '.')
	if dot < 0 {
		return "", "", false
	}
	name, err := base64.RawURLEncoding.DecodeString(rest[dot+1:])
	return rest[:dot], string(name), err == nil
}

// SetUsage implements [Engine].
func (s *shared) SetUsage(ctx context.Context, owner string, value []byte) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	_, err := s.bucket.put(ctx, usageKey(s.node, owner), value, anyRevision)
	return err
}

// UnsetUsage implements [Engine].
func (s *shared) UnsetUsage(ctx context.Context, node, owner string, value []byte) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	there, revision, err := s.bucket.get(ctx, usageKey(node, owner))
	if errors.Is(err, errNone) || err == nil && !bytes.Equal(there, value) {
		return nil
	}
	if err == nil {
		_, err = s.bucket.put(ctx, usageKey(node, owner), nil, revision)
	}
	if errors.Is(err, errOther) { // the node has written again
		return nil
	}
	return err
}

// UsageChanged implements [Engine].
func (s *shared) UsageChanged(f func(node, owner string, value []byte)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, value := range s.values {
		if node, owner, ok := ownerOf(key); ok {
			f(node, owner, value)
		}
	}
	s.used = f
}
