package vectors

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"reversehttp/schema"
	"reversehttp/schema/envelope"
)

// Script is a case of client.json.
type Script struct {
	Case
	Options ClientOptions `json:"options"`
	Handler Handler       `json:"handler"`
	Gateway Scripted      `json:"gateway"`
	Expect  Seen          `json:"expect"`
}

// ClientOptions are the options with which the SDK is called.
type ClientOptions struct {
	Label string `json:"label"`
	Token string `json:"token"`
	// Inspect asks for recordings.
	Inspect bool `json:"inspect"`
	// Policy is what the gateway should enforce. Nil means nothing.
	Policy *schema.Policy `json:"policy"`
	// Domain is a domain of the owner.
	Domain string `json:"domain"`
}

// Handler says what the handler does: it answers, after Hints if there are any; fails (throws or
// panics); waits until its request is cancelled; or answers with the content of its request. With
// Chunks it sends each at once, waits until the gateway has received it, and then ends, fails or
// waits.
type Handler struct {
	Answer
	// Hints are the fields of a 103 before the answer.
	Hints  []schema.Field `json:"hints"`
	Chunks []string       `json:"chunks"`
	Fails  bool           `json:"fails"`
	Waits  bool           `json:"waits"`
	Echoes bool           `json:"echoes"`
}

// Scripted lists the answers of each route of the scripted gateway.
type Scripted struct {
	// Base is the path of the claim's public URL. Empty means "/".
	Base string `json:"base"`
	// Transports are the transports in the discovery document. Nil means json.
	Transports []string `json:"transports"`
	Claims     []Reply  `json:"claims"`
	Requests   []Reply  `json:"requests"`
	Responses  []Reply  `json:"responses"`
	Content    []Reply  `json:"content"`
	Session    []Reply  `json:"session"`
	// Links script the links that are opened, in order. Nil means that claims have no link.
	Links []Opening `json:"links"`
	// Framed says that the gateway supports the framed form, for the messages of Lines and for
	// answers.
	Framed bool `json:"-"`
}

// Reply is one scripted answer.
type Reply struct {
	Status int             `json:"status"`
	JSON   json.RawMessage `json:"json"`
	// Body is content that is not JSON.
	Body    string            `json:"body"`
	Headers map[string]string `json:"headers"`
	// After is how many messages must have been posted before the reply is sent.
	After int `json:"after"`
	// Drop closes the connection instead, or after Lines.
	Drop bool `json:"drop"`
	// Lines make the answer a stream of application/x-ndjson. Each is written and flushed
	// separately; strings are written unquoted. Nil means no stream. Tail follows without an end of
	// line. The stream then stays open, unless Ends or Drop is set.
	Lines []json.RawMessage `json:"lines"`
	Tail  string            `json:"tail"`
	Ends  bool              `json:"ends"`
	// Silent sends no answer until the program leaves.
	Silent bool `json:"silent"`
}

// Line returns a line of [Reply.Lines] with {origin} replaced, and with its end.
func Line(line json.RawMessage, origin string) string {
	var text string
	if json.Unmarshal(line, &text) != nil {
		text = strings.ReplaceAll(string(line), "{origin}", origin)
	}
	return text + "\n"
}

// FormOf returns the form that a poll prefers, by an Accept field as SDKs write it.
func FormOf(accept string) string {
	if strings.HasPrefix(accept, envelope.MediaFramed) {
		return "framed"
	}
	if strings.HasPrefix(accept, "application/x-ndjson") {
		return "ndjson"
	}
	return "json"
}

// Seen is what a script expects or a runner saw. Nil members are not compared.
type Seen struct {
	Claims    []map[string]any `json:"claims"`
	Polls     []string         `json:"polls"`
	Forms     []string         `json:"forms"`
	Answers   []map[string]any `json:"answers"`
	Handled   []string         `json:"handled"`
	Paths     []string         `json:"paths"`
	Replays   []string         `json:"replays"`
	Traces    []string         `json:"traces"`
	Cancelled []string         `json:"cancelled"`
	Contents  []string         `json:"contents"`
	States    []string         `json:"states"`
	// Links are the cursors with which accepted links were opened. Acked are cursors that acks and
	// pongs named, possibly with others in between, and Pongs is the least number of pongs.
	Links []string `json:"links"`
	Acked []string `json:"acked"`
	Pongs int      `json:"pongs"`
	Error string   `json:"error"`
}

// Diff returns how what was seen differs from what the script expects, or "". Exchanges run
// concurrently, so handled and answers are ordered only within one id.
func (want Seen) Diff(got Seen) string {
	if want.Error != got.Error {
		return fmt.Sprintf("error = %q, want %q", got.Error, want.Error)
	}
	for _, l := range []struct {
		name      string
		want, got []string
	}{
		{"polls", want.Polls, got.Polls},
		{"forms", want.Forms, got.Forms},
		{"handled", sorted(want.Handled), sorted(got.Handled)},
		{"paths", sorted(want.Paths), sorted(got.Paths)},
		{"replays", sorted(want.Replays), sorted(got.Replays)},
		{"traces", sorted(want.Traces), sorted(got.Traces)},
		{"cancelled", sorted(want.Cancelled), sorted(got.Cancelled)},
		{"contents", want.Contents, got.Contents},
		{"states", want.States, got.States},
		{"links", want.Links, got.Links},
	} {
		if l.want != nil && !slices.Equal(l.want, l.got) {
			return fmt.Sprintf("%s = %q, want %q", l.name, l.got, l.want)
		}
	}
	if got.Pongs < want.Pongs {
		return fmt.Sprintf("%d pongs, want %d", got.Pongs, want.Pongs)
	}
	if d := diffInOrder("acked", want.Acked, got.Acked); d != "" {
		return d
	}
	if want.Claims != nil {
		if d := diff("/claims", list(want.Claims), list(got.Claims), nil); d != "" {
			return d
		}
	}
	if want.Answers == nil {
		return ""
	}
	return diffAnswers(byID(want.Answers), byID(got.Answers))
}

func diffAnswers(want, got []map[string]any) string {
	if len(want) != len(got) {
		return fmt.Sprintf("answers = %s, want %s", text(got), text(want))
	}
	for i := range want {
		plain := map[string]any{}
		for name, v := range want[i] {
			if name != "headers" {
				plain[name] = v
			}
		}
		if d := diff(fmt.Sprintf("/answers/%d", i), plain, any(got[i]), nil); d != "" {
			return d
		}
		if d := DiffFields(fields(want[i]["headers"]), nil, fields(got[i]["headers"]), nil); d != "" {
			return fmt.Sprintf("/answers/%d: %s", i, d)
		}
	}
	return ""
}

// fields converts decoded JSON to fields. It returns none if v is not a list of fields.
func fields(v any) []schema.Field {
	var f []schema.Field
	if json.Unmarshal(marshal(v), &f) != nil {
		return nil
	}
	return f
}

func sorted(s []string) []string {
	c := slices.Clone(s)
	slices.Sort(c)
	return c
}

func byID(messages []map[string]any) []map[string]any {
	c := slices.Clone(messages)
	slices.SortStableFunc(c, func(a, b map[string]any) int {
		return strings.Compare(fmt.Sprint(a["id"]), fmt.Sprint(b["id"]))
	})
	return c
}

func list(m []map[string]any) []any {
	c := make([]any, len(m))
	for i := range m {
		c[i] = m[i]
	}
	return c
}
