package vectors

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Opening is what the scripted gateway does if a program opens a link. With Status, Silent or Drop
// it does not accept, as with these members of Reply; otherwise it accepts and performs Does. The
// zero value is a link that stays open.
type Opening struct {
	Reply
	// ExchangeWindow and LinkWindow are the windows in the welcome, in bytes. Zero means 262,144
	// and 4,194,304.
	ExchangeWindow int `json:"exchangeWindow"`
	LinkWindow     int `json:"linkWindow"`
	// Withholds omits the results that messages of answers would otherwise get.
	Withholds bool `json:"withholds"`
	// Quiet omits pings.
	Quiet bool  `json:"quiet"`
	Does  []Act `json:"does"`
}

// Act is what a gateway does on a link: exactly one member is set.
type Act struct {
	// Sends is a message to the program, or a list of messages, which are sent together in the
	// framed form.
	Sends json.RawMessage `json:"sends"`
	// After waits until so many messages of answers have come, on links and by POST.
	After int `json:"after"`
	// Acked waits until an ack or a pong named this cursor.
	Acked string `json:"acked"`
	// Most checks that no more than so many messages of answers came.
	Most *int `json:"most"`
	// WaitMs lets time pass.
	WaitMs int `json:"waitMs"`
	// Closes is a code to close with.
	Closes int `json:"closes"`
	// Cuts closes the connection without a Close frame.
	Cuts bool `json:"cuts"`
}

// Messages are those of Sends, with {origin} replaced.
func (a Act) Messages(origin string) []json.RawMessage {
	text := json.RawMessage(strings.ReplaceAll(string(a.Sends), "{origin}", origin))
	var list []json.RawMessage
	if json.Unmarshal(text, &list) != nil {
		list = []json.RawMessage{text}
	}
	return list
}

// Accepts reports whether the gateway accepts the link.
func (o Opening) Accepts() bool { return o.Status == 0 && !o.Silent && !o.Drop }

// Said is a message of a program on a link, as JSON.
type Said map[string]any

// Heard returns the messages in one WebSocket message. It returns an error if a gateway would not
// accept them.
func Heard(content []byte, binary bool) ([]Said, error) {
	list, err := Unlink(content, binary)
	if err != nil {
		return nil, err
	}
	messages := make([]Said, len(list))
	for i, m := range list {
		if err := json.Unmarshal(m, &messages[i]); err != nil {
			return nil, fmt.Errorf("vectors: a message of a link: %w", err)
		}
	}
	return messages, nil
}

// Answers reports whether a message has a result.
func (s Said) Answers() bool {
	return !slices.Contains([]any{"hello", "ack", "pong"}, s["type"])
}

// Result is the default result of the scripted gateway for an answer.
func (s Said) Result() map[string]any {
	result := map[string]any{"id": s["id"], "status": "accepted"}
	if s["type"] == "part" {
		result["seq"] = s["seq"]
	}
	return result
}

// diffInOrder returns which of want is missing in got, in order. Others may be in between.
func diffInOrder(name string, want, got []string) string {
	rest := got
	for _, w := range want {
		i := slices.Index(rest, w)
		if i < 0 {
			return fmt.Sprintf("%s = %q, want %q among them in this order", name, got, want)
		}
		rest = rest[i+1:]
	}
	return ""
}
