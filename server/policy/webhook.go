package policy

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"reversehttp/schema"
	"reversehttp/server/claim"
	"reversehttp/server/problem"
	"reversehttp/server/visit"
)

const (
	// mostSigned bounds the content of a webhook, which is held until it is verified.
	mostSigned = 1 << 20
	// signedWithin is the most by which the time of a signature may differ from the gateway's.
	signedWithin = 5 * time.Minute
	// mostSignatures bounds the signatures of a request that are checked.
	mostSignatures = 16
	mostSecret     = 256
	mostID         = 256
)

// webhook says which signed requests are let in. Verifying a signature takes the secret itself, so the secret is kept.
type webhook struct {
	Preset schema.PolicyWebhookPreset `json:"preset"`
	Secret string                     `json:"secret"`
}

// scheme is a way to sign: it returns what verifies with a secret, or says what a good secret is.
type scheme func(secret string) (verify, string)

// verify returns an id by which the request is recognised when it is repeated, or why it is not verified.
type verify func(head *claim.Request, content []byte, now time.Time) (id, why string)

var schemes = map[schema.PolicyWebhookPreset]scheme{
	schema.PolicyWebhookStandard: standardWebhook, schema.PolicyWebhookGithub: githubWebhook, schema.PolicyWebhookStripe: stripeWebhook,
	schema.PolicyWebhookSlack: slackWebhook, schema.PolicyWebhookDiscord: discordWebhook,
}

func checkWebhook(ask *schema.Policy, p *Policy) error {
	w := ask.Webhook
	if w == nil {
		return nil
	}
	ready, ok := schemes[w.Preset]
	if !ok {
		return fault("webhook/preset", "A preset is standard, github, stripe, slack or discord.")
	}
	if w.Secret != "" {
		if len(w.Secret) > mostSecret {
			return fault("webhook/secret", "A secret has 1 to %d bytes.", mostSecret)
		}
		if _, good := ready(w.Secret); good != "" {
			return fault("webhook/secret", "%s", good)
		}
	}
	p.Webhook = &webhook{w.Preset, w.Secret}
	return nil
}

func takeWebhook(next, before *Policy) error {
	if next.Webhook == nil || next.Webhook.Secret != "" {
		return nil
	}
	if before.Webhook == nil || before.Webhook.Preset != next.Webhook.Preset {
		return fault("webhook/secret", "There is no webhook of this preset whose secret could be kept. Give one.")
	}
	next.Webhook = before.Webhook
	return nil
}

// webhookStep lets in signed requests, each once.
func webhookStep(p *Policy) step {
	check, _ := schemes[p.Webhook.Preset](p.Webhook.Secret)
	preset := string(p.Webhook.Preset)
	return func(a *asked) *problem.Problem {
		unsigned := func(why string) *problem.Problem {
			return &problem.Problem{Code: schema.CodeSignatureWrong, Detail: "The owner of this URL takes webhooks only that are signed with their secret: " + why + ".",
				Fields: []claim.Field{{Name: "WWW-Authenticate", Value: `Webhook realm="` + a.guard.claim.Label() + `"`}}}
		}
		if a.head.Upgrade != "" {
			return unsigned("a WebSocket is none")
		}
		if check == nil { // a kept secret that is not valid any longer
			return unsigned("the secret is not one of its preset")
		}
		a.verdict.Hold = mostSigned
		a.verdict.Then = func(content []byte) visit.Verdict {
			id, why := check(a.head, content, time.Now())
			if why != "" {
				return visit.Verdict{Refuse: unsigned(why)}
			}
			return a.guard.once(preset + " " + id)
		}
		return nil
	}
}

// one returns the value of a field, and reports false if it is absent, empty or repeated.
func one(head *claim.Request, name string) (value string, ok bool) {
	all := values(head, name)
	if len(all) != 1 || all[0] == "" {
		return "", false
	}
	return all[0], true
}

// timely reports whether a time, in seconds since 1970, is within signedWithin of now.
func timely(text string, now time.Time) bool {
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil || strings.TrimLeft(text, "0123456789") != "" {
		return false
	}
	d := now.Sub(time.Unix(seconds, 0))
	return d >= -signedWithin && d <= signedWithin
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

// handled returns the answer to a webhook that was handled before.
func handled() *claim.Answer {
	return &claim.Answer{Status: http.StatusOK, Fields: []claim.Field{{Name: "Cache-Control", Value: "no-store"}}}
}
