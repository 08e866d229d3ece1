package webhook

import (
	"encoding/json"
)

// Challenge returns the media type and content of the answer to a verified request by which a
// sender checks its receiver. ok reports whether the request is such a challenge. An answer without
// content has no type.
func Challenge(preset string, fields Fields, content []byte) (kind, answer string, ok bool) {
	var said struct {
		Type      json.RawMessage `json:"type"`
		Challenge *string         `json:"challenge"`
	}
	if json.Unmarshal(content, &said) != nil {
		return "", "", false
	}
	switch kind := string(said.Type); {
	case preset == "discord" && kind == "1": // PING of interactions
		return "application/json", `{"type":1}`, true
	case preset == "discord" && kind == "0": // PING of webhook events
		return "", "", true
	case preset == "slack" && kind == `"url_verification"` && said.Challenge != nil:
		return "text/plain; charset=utf-8", *said.Challenge, true
	case preset == "standard" && kind == `"verification"` && said.Challenge != nil && len(fields("X-MCP-Subscription-Id")) == 1:
		// The challenge of MCP Events, which are Standard Webhooks.
		said, err := json.Marshal(map[string]string{"challenge": *said.Challenge})
		return "application/json", string(said), err == nil
	}
	return "", "", false
}
