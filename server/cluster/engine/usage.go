package engine

import (
	"context"
	"encoding/base64"
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
	return s.set(ctx, usageKey(s.node, owner), value)
}

// UnsetUsage implements [Engine].
func (s *shared) UnsetUsage(ctx context.Context, node, owner string, value []byte) error {
	return s.unset(ctx, usageKey(node, owner), value)
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
