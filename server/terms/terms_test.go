package terms

import (
	"encoding/json"
	"errors"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"reversehttp/schema"
	"reversehttp/server/claim"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// door is a term with a secret.
type door struct {
	User string `json:"user"`
	Key  string `json:"key"`
}

func (d door) Shown() any { return map[string]string{"user": d.User} }

var fake = Member{
	Name: "door",
	Read: func(value []byte) (claim.Term, error) {
		var d door
		if err := json.Unmarshal(value, &d); err != nil || d.User == "" {
			return nil, errors.New("door has a user")
		}
		return d, nil
	},
	Example: `{"user":"ann","key":"secret-1"}`,
}

func TestShownTermsHaveNoSecrets(t *testing.T) {
	t.Cleanup(Add(fake))
	all := map[string]json.RawMessage{"unknown": json.RawMessage(`"secret-unknown"`)}
	secrets := 1
	for name, m := range members {
		all[name] = json.RawMessage(m.Example)
		secrets += strings.Count(m.Example, "secret-")
	}
	others, err := Kept(all)
	if err != nil {
		t.Fatal(err)
	}
	kept, err := Keep(others)
	if err != nil {
		t.Fatal(err)
	}
	text, _ := json.Marshal(kept)
	if got := strings.Count(string(text), "secret-"); got != secrets {
		t.Errorf("kept %s: %d secrets, want %d", text, got, secrets)
	}
	again, err := Kept(kept)
	if err != nil || !reflect.DeepEqual(again, others) {
		t.Errorf("read again %+v %v, want %+v", again, err, others)
	}
	registry := claim.New(claim.Options{})
	defer registry.Close()
	opened, err := registry.Open(netip.Addr{}, "demo", "", claim.Settings{Others: others})
	if err != nil {
		t.Fatal(err)
	}
	shown := opened.State.Shown
	text, err = json.Marshal(With{Object: schema.ClaimState{Label: "demo"}, Others: shown.Others})
	if err != nil || strings.Contains(string(text), "secret-") || !strings.Contains(string(text), `"door":{"user":"ann"}`) {
		t.Errorf("shown %s %v, want the user and no secret", text, err)
	}
	var state schema.ClaimState
	if err := json.Unmarshal(text, &state); err != nil || state.Label != "demo" {
		t.Errorf("shown %s, want the state too: %v", text, err)
	}
}

func TestAMemberIsReadWholeAndEndsWhereItIsEmpty(t *testing.T) {
	t.Cleanup(Add(fake))
	for value, want := range map[string]struct {
		set, ends bool
		err       string
	}{
		``: {}, `null`: {}, `{}`: {set: true, ends: true}, ` [ ] `: {set: true, ends: true}, `""`: {set: true, ends: true},
		`{"user":"ann"}`: {set: true}, `{"key":"k"}`: {err: "door has a user"}, `7`: {err: "door has a user"},
	} {
		all := map[string]json.RawMessage{"other": json.RawMessage(`1`)}
		if value != "" {
			all["door"] = json.RawMessage(value)
		}
		s, err := Read(Asked{Members: all})
		e, bad := errors.AsType[*Error](err)
		if bad != (want.err != "") || bad && (e.Code != schema.CodeBadMember || e.Member != "door" || e.Detail != want.err) {
			t.Errorf("%s: %v, want %q", value, err, want.err)
		}
		term, set := s.Others["door"]
		if set != want.set || set && (term == nil) != want.ends || len(s.Others) > 1 {
			t.Errorf("%s: %+v, want %+v", value, s.Others, want)
		}
	}
}

// TestTermsOfTheCoreHaveBounds has numbers that would be within bounds after their nanoseconds overflow.
func TestTermsOfTheCoreHaveBounds(t *testing.T) {
	for _, c := range []struct {
		ask    Asked
		member string
		code   schema.Code
	}{
		{Asked{Lease: new(1), TimeoutMs: new(1000), Redeliver: new(schema.RedeliverAny)}, "", ""},
		{Asked{Lease: new(86_400), TimeoutMs: new(600_000)}, "", ""},
		{Asked{Lease: new(0)}, "lease", schema.CodeBadLease},
		{Asked{Lease: new(86_401)}, "lease", schema.CodeBadLease},
		{Asked{Lease: new(18_446_744_075)}, "lease", schema.CodeBadLease},
		{Asked{Lease: new(-1 << 63)}, "lease", schema.CodeBadLease},
		{Asked{TimeoutMs: new(999)}, "timeoutMs", schema.CodeBadMember},
		{Asked{TimeoutMs: new(600_001)}, "timeoutMs", schema.CodeBadMember},
		{Asked{TimeoutMs: new(18_446_744_075_000)}, "timeoutMs", schema.CodeBadMember},
		{Asked{Redeliver: new(schema.Redeliver("never"))}, "redeliver", schema.CodeBadMember},
	} {
		s, err := Read(c.ask)
		e, bad := errors.AsType[*Error](err)
		if bad != (c.member != "") || bad && (e.Member != c.member || e.Code != c.code) {
			t.Errorf("%+v: %v, want %s %s", c.ask, err, c.code, c.member)
		}
		if !bad && c.ask.Lease != nil && *s.Lease != time.Duration(*c.ask.Lease)*time.Second {
			t.Errorf("lease %v, want %d s", *s.Lease, *c.ask.Lease)
		}
	}
}
