package policy

import (
	"net/http"
	"slices"
	"time"

	"reversehttp/schema"
	signed "reversehttp/schema/webhook"
	"reversehttp/server/claim"
	"reversehttp/server/problem"
	"reversehttp/server/visit"
)

const mostSecret = 256

// webhook says which signed requests are let in. Verifying a signature takes the secret itself, so the secret is kept.
type webhook struct {
	Preset schema.PolicyWebhookPreset `json:"preset"`
	Secret string                     `json:"secret"`
}

// presets are those whose signatures the gateway checks.
var presets = []schema.PolicyWebhookPreset{
	schema.PolicyWebhookStandard, schema.PolicyWebhookGithub, schema.PolicyWebhookStripe, schema.PolicyWebhookSlack, schema.PolicyWebhookDiscord,
}

func checkWebhook(ask *schema.Policy, p *Policy) error {
	w := ask.Webhook
	if w == nil {
		return nil
	}
	if !slices.Contains(presets, w.Preset) {
		return fault("webhook/preset", "A preset is standard, github, stripe, slack or discord.")
	}
	if w.Secret != "" {
		if len(w.Secret) > mostSecret {
			return fault("webhook/secret", "A secret has 1 to %d bytes.", mostSecret)
		}
		if _, good := signed.For(string(w.Preset), w.Secret); good != "" {
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
	preset := string(p.Webhook.Preset)
	check, _ := signed.For(preset, p.Webhook.Secret)
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
		a.verdict.Hold = signed.MostContent
		a.verdict.Then = func(content []byte) visit.Verdict {
			id, why := check(fieldsOf(a.head), content, time.Now())
			if why != "" {
				return visit.Verdict{Refuse: unsigned(why)}
			}
			return a.guard.once(preset + " " + id)
		}
		return nil
	}
}

func fieldsOf(head *claim.Request) signed.Fields {
	return func(name string) []string { return values(head, name) }
}

// handled returns the answer to a webhook that was handled before.
func handled() *claim.Answer {
	return &claim.Answer{Status: http.StatusOK, Fields: []claim.Field{{Name: "Cache-Control", Value: "no-store"}}}
}
