package recording

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.uber.org/goleak"

	"reversehttp/schema"
	"reversehttp/server/claim"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// recorded is a registry whose claims are recorded, and its recorder.
type recorded struct {
	t        *testing.T
	registry *claim.Registry
	recorder *Recorder
}

func newRecorded(t *testing.T, most int64) *recorded {
	t.Helper()
	w := &recorded{t: t, recorder: New(most)}
	w.registry = claim.New(claim.Options{Tap: w.recorder.Tap, Untap: w.recorder.End})
	t.Cleanup(w.registry.Close)
	return w
}

// inspect is the term that turns on recording.
type inspect bool

func (i inspect) Shown() any { return i }

// claim claims a label whose exchanges are recorded.
func (w *recorded) claim(label string) *claim.Session {
	w.t.Helper()
	o, err := w.registry.Open(netip.Addr{}, label, "", claim.Settings{Others: map[string]claim.Term{"inspect": inspect(true)}})
	if err != nil {
		w.t.Fatal(err)
	}
	return o.Session
}

// exchange lets a request be answered, and returns its id.
func (w *recorded) exchange(s *claim.Session, r *claim.Request, a *claim.Answer) string {
	w.t.Helper()
	hold := w.registry.Options().Budget.Open(netip.Addr{})
	defer hold.Close()
	x, err := s.Claim().Begin(hold, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		_, err := x.Do(w.t.Context(), r)
		done <- err
	}()
	poll, err := s.Open(nil, time.Minute, claim.Flow{})
	if err != nil {
		w.t.Fatal(err)
	}
	if b, _, err := poll.Next(w.t.Context(), time.Time{}, nil); b == nil || err != nil {
		w.t.Fatalf("polled %v, %v", b, err)
	}
	if result, err := s.Delivery(x.ID()).Answer(a, nil); result != claim.Accepted || err != nil {
		w.t.Fatalf("%s, %v", result, err)
	}
	if err := <-done; err != nil {
		w.t.Fatal(err)
	}
	return x.ID()
}

// book returns the recordings of the claim of s.
func (w *recorded) book(s *claim.Session) *Book { return w.recorder.Book(s.Claim()) }

// valid checks that v matches a definition of control.schema.json.
func valid(t *testing.T, definition string, v any) {
	t.Helper()
	c := jsonschema.NewCompiler()
	for _, name := range []string{"control", "envelope"} {
		raw, err := schema.FS.ReadFile(name + ".schema.json")
		if err != nil {
			t.Fatal(err)
		}
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
		if err != nil {
			t.Fatal(err)
		}
		if err := c.AddResource("reversehttp:"+name, doc); err != nil {
			t.Fatal(err)
		}
	}
	s, err := c.Compile("reversehttp:control#/$defs/" + definition)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Validate(doc); err != nil {
		t.Errorf("%s: %v", text, err)
	}
}
