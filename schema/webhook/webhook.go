// Package webhook verifies who sent a webhook. It has the presets of section 14 of schema/README.md, which the gateway
// enforces, and two more that sdk-go receives.
package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strconv"
	"strings"
	"time"
)

const (
	// MostContent bounds the content of a webhook, which is held until it is verified.
	MostContent = 1 << 20
	// Within is the most by which the time of a signature may differ from that of its receipt.
	Within = 5 * time.Minute
	// MostSignatures bounds the signatures of a request that are checked.
	MostSignatures = 16
	mostID         = 256
)

// Fields returns the values of the fields of a name, however that is spelt.
type Fields func(name string) []string

// Verify returns an id by which the request is recognised when it is repeated, or why it is not verified.
type Verify func(fields Fields, content []byte, now time.Time) (id, why string)

// presets are by name. Each returns what verifies with a secret, or says what a good secret is.
var presets = map[string]func(secret string) (verify Verify, good string){
	"standard": standard, "github": github, "stripe": stripe, "slack": slack, "discord": discord, "websub": webSub, "cloudevents": cloudEvents,
}

// For returns what verifies with a secret. Where there is no such preset, or the secret is not one of it, it says what is.
func For(preset, secret string) (verify Verify, good string) {
	ready, ok := presets[preset]
	if !ok {
		return nil, "A preset is standard, github, stripe, slack, discord, websub or cloudevents."
	}
	return ready(secret)
}

// one returns the value of a field, and reports false if it is absent, empty or repeated.
func one(fields Fields, name string) (value string, ok bool) {
	all := fields(name)
	if len(all) != 1 || all[0] == "" {
		return "", false
	}
	return all[0], true
}

// timely reports whether a time, in seconds since 1970, is within Within of now.
func timely(text string, now time.Time) bool {
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil || strings.TrimLeft(text, "0123456789") != "" {
		return false
	}
	d := now.Sub(time.Unix(seconds, 0))
	return d >= -Within && d <= Within
}

// untimely is why a webhook with a bad time is refused.
const untimely = "it was signed more than five minutes ago, or at no time at all"

// sign returns the HMAC-SHA256 of the concatenated texts.
func sign(key []byte, texts ...[]byte) []byte {
	h := hmac.New(sha256.New, key)
	for _, text := range texts {
		h.Write(text)
	}
	return h.Sum(nil)
}

// signedAs reports whether a signature is a MAC in hexadecimal digits.
func signedAs(signature string, mac []byte) bool {
	got, err := hex.DecodeString(signature)
	return err == nil && hmac.Equal(mac, got)
}

// idIn returns the string of that name in content that is a JSON object, or the signature if there is none.
func idIn(content []byte, name, signature string) string {
	var members map[string]json.RawMessage
	var id string
	if json.Unmarshal(content, &members) != nil || json.Unmarshal(members[name], &id) != nil || id == "" || len(id) > mostID {
		return strings.ToLower(signature)
	}
	return id
}

// digest returns an id of content that has no other.
func digest(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}
