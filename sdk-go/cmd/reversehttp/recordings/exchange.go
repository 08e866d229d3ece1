package recordings

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"strconv"
	"strings"

	"reversehttp/schema"
)

// Most is the most recordings that a gateway keeps for a claim, and the most that it lists at once.
const Most = 200

// Exchange is a recording in the form of a list.
type Exchange struct {
	schema.Recorded
	// JSON is the JSON of the gateway.
	JSON json.RawMessage `json:"-"`
}

// UnmarshalJSON also keeps the JSON.
func (x *Exchange) UnmarshalJSON(b []byte) error {
	type members Exchange
	x.JSON = append(json.RawMessage(nil), b...)
	return json.Unmarshal(b, (*members)(x))
}

// MarshalJSON returns the JSON of the gateway.
func (x Exchange) MarshalJSON() ([]byte, error) { return x.JSON, nil }

// Ended reports whether the exchange is over.
func (x *Exchange) Ended() bool { return x.State == schema.RecordedEnded }

// List is a part of the recordings of a claim, newest first.
type List struct {
	Exchanges []Exchange `json:"exchanges"`
	// Change names the state of the list.
	Change  string `json:"change"`
	Cleared bool   `json:"cleared"`
}

// Recording is a whole exchange.
type Recording struct {
	Exchange   Exchange                  `json:"exchange"`
	Request    Message                   `json:"request"`
	Response   *Message                  `json:"response"`
	Interims   []schema.RecordedInterim  `json:"interims"`
	Deliveries []schema.RecordedDelivery `json:"deliveries"`
	Parts      []schema.RecordedPart     `json:"parts"`
	PartsCut   bool                      `json:"partsCut"`

	// JSON is the JSON of the gateway.
	JSON json.RawMessage `json:"-"`
}

// UnmarshalJSON also keeps the JSON.
func (r *Recording) UnmarshalJSON(b []byte) error {
	type members Recording
	r.JSON = append(json.RawMessage(nil), b...)
	return json.Unmarshal(b, (*members)(r))
}

// Message is a request or a response.
type Message struct{ schema.RecordedMessage }

// Content returns the recorded content.
func (m *Message) Content() []byte {
	if m.BodyBase64 == "" {
		return []byte(m.Body)
	}
	b, err := base64.StdEncoding.DecodeString(m.BodyBase64)
	if err != nil {
		return nil
	}
	return b
}

// Filter selects recordings that pass every member that is not empty.
type Filter struct {
	// Method passes this method, in any case.
	Method string
	// Status passes this status, such as 404, or class, such as 5xx.
	Status string
	// Path passes targets with this prefix.
	Path string
	// Code passes failures with this code.
	Code string
	// Limit bounds the number of recordings. Zero means the gateway's default of 50.
	Limit int
}

func (f Filter) query() url.Values {
	q := url.Values{}
	for name, value := range map[string]string{"method": f.Method, "status": f.Status, "path": f.Path, "code": f.Code} {
		if value != "" {
			q.Set(name, value)
		}
	}
	if f.Limit > 0 {
		q.Set("limit", strconv.Itoa(f.Limit))
	}
	return q
}

// Passes reports whether a recording passes. It ignores Limit.
func (f Filter) Passes(x *Exchange) bool {
	status := strconv.Itoa(x.Status)
	class, ofClass := strings.CutSuffix(strings.ToLower(f.Status), "xx")
	return (f.Method == "" || strings.EqualFold(f.Method, x.Method)) && (f.Path == "" || strings.HasPrefix(x.Target, f.Path)) && (f.Code == "" || f.Code == x.Code) &&
		(f.Status == "" || f.Status == status || ofClass && len(status) == 3 && strings.HasPrefix(status, class))
}
