package claim

import (
	"net/netip"
	"reflect"
	"testing"
)

// word is a term that the core does not know.
type word string

func (w word) Shown() any {
	if w == "hidden" {
		return nil
	}
	return len(w)
}

func TestATermThatIsNotSetStaysUnchanged(t *testing.T) {
	inScene(t, Options{}, func(t *testing.T, s *scene) {
		s.session(Settings{Others: map[string]Term{"a": word("one"), "b": word("hidden")}})
		for _, step := range []struct {
			set  map[string]Term
			want map[string]any
			kept map[string]Term
		}{
			{nil, map[string]any{"a": 3}, map[string]Term{"a": word("one"), "b": word("hidden")}},
			{map[string]Term{"c": word("three"), "a": nil}, map[string]any{"c": 5}, map[string]Term{"b": word("hidden"), "c": word("three")}},
			{map[string]Term{"b": nil, "c": nil}, nil, nil},
		} {
			if _, err := s.Open(netip.Addr{}, "demo", "t0", Settings{Others: step.set}); err != nil {
				t.Fatal(err)
			}
			if got := s.claim.State().Others; !reflect.DeepEqual(got, step.want) {
				t.Errorf("after %v: shown %v, want %v", step.set, got, step.want)
			}
			if got := s.claim.terms.Others; !reflect.DeepEqual(got, step.kept) {
				t.Errorf("after %v: kept %v, want %v", step.set, got, step.kept)
			}
		}
	})
}
