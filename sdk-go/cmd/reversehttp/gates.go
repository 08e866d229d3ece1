package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"reversehttp/schema"
	reversehttp "reversehttp/sdk-go"
	"reversehttp/sdk-go/cmd/reversehttp/recordings"
)

// gates are the flags for what the gateway enforces before it sends a request on.
type gates struct {
	BasicAuth     []string      `env:"REVERSEHTTP_BASIC_AUTH" sep:"none" placeholder:"USER:PASSWORD" help:"Have the gateway let in only visitors with this name and password; may be repeated. Set it in the environment to keep it out of the process list."`
	BasicAuthFile []secretFile  `env:"REVERSEHTTP_BASIC_AUTH_FILE" placeholder:"FILE" help:"The same, in a file."`
	AllowIP       []string      `name:"allow-ip" placeholder:"NETWORK" help:"Have the gateway let in only visitors from these addresses or networks, such as 203.0.113.0/24."`
	Webhook       string        `env:"REVERSEHTTP_WEBHOOK" placeholder:"PRESET:SECRET" help:"Have the gateway let in only webhooks with a valid signature: standard, github, stripe, slack or discord, and the secret or public key."`
	WebhookFile   secretFile    `env:"REVERSEHTTP_WEBHOOK_FILE" placeholder:"FILE" help:"The same, in a file."`
	Share         time.Duration `placeholder:"TIME" help:"Have the gateway let in visitors with a link, which is printed, for this long, such as 2h."`
	NoPolicy      bool          `help:"End what an earlier start had the gateway enforce for the label. Without the flag, and without those before, it stays."`
}

// wanted reports whether any flag asks the gateway to enforce something.
func (g *gates) wanted() bool {
	return len(g.BasicAuth) > 0 || len(g.BasicAuthFile) > 0 || len(g.AllowIP) > 0 || g.Webhook != "" || g.WebhookFile.secret != "" || g.Share != 0
}

// check returns what is wrong with the flags, without any secret.
func (g *gates) check() error {
	if g.NoPolicy && g.wanted() {
		return errors.New("--no-policy ends what is enforced, and other flags say what is to be; leave one out")
	}
	if g.Webhook != "" && g.WebhookFile.secret != "" {
		return errors.New("the webhook is given twice, by --webhook or REVERSEHTTP_WEBHOOK, and by a file: leave one out")
	}
	if g.Share < 0 || g.Share > 0 && g.Share < time.Second {
		return errors.New("--share is how long a link lets in, such as 2h")
	}
	for _, login := range g.logins() {
		if user, password, ok := strings.Cut(login, ":"); !ok || user == "" || password == "" {
			return errors.New("--basic-auth is a name, a colon and a password, such as ann:PASSWORD, and so is the line of --basic-auth-file")
		}
	}
	if hook := g.webhook(); hook != "" {
		if preset, secret, ok := strings.Cut(hook, ":"); !ok || preset == "" || secret == "" {
			return errors.New("--webhook is a preset, a colon and a secret, such as github:SECRET, and so is the line of --webhook-file")
		}
	}
	return nil
}

// open returns the names of files with secrets that others may read.
func (g *gates) open() (names []string) {
	for _, f := range append(slices.Clone(g.BasicAuthFile), g.WebhookFile) {
		if f.open != "" {
			names = append(names, f.open)
		}
	}
	return names
}

func (g *gates) logins() []string {
	all := slices.Clone(g.BasicAuth)
	for _, f := range g.BasicAuthFile {
		all = append(all, f.secret)
	}
	return all
}

func (g *gates) webhook() string { return g.Webhook + g.WebhookFile.secret }

// policy returns what the gateway should enforce, or nil to leave that unchanged.
func (g *gates) policy() *reversehttp.Policy {
	if !g.wanted() && !g.NoPolicy {
		return nil
	}
	p := &reversehttp.Policy{}
	for _, login := range g.logins() {
		if p.Basic == nil {
			p.Basic = new([]schema.PolicyBasic)
		}
		user, password, _ := strings.Cut(login, ":")
		*p.Basic = append(*p.Basic, schema.PolicyBasic{User: user, Password: password})
	}
	if len(g.AllowIP) > 0 {
		p.IP = &schema.PolicyIP{Allow: g.AllowIP}
	}
	if hook := g.webhook(); hook != "" {
		preset, secret, _ := strings.Cut(hook, ":")
		p.Webhook = &schema.PolicyWebhook{Preset: schema.PolicyWebhookPreset(preset), Secret: secret}
	}
	if g.Share > 0 {
		p.Share = new(true)
	}
	return p
}

// guarded returns an error if the gateway enforces nothing although flags ask for it. If it still enforces what an earlier start
// asked for, guarded notes that.
func (s *serving) guarded(session *reversehttp.Session) error {
	enforced := session.Policy()
	switch {
	case s.gates.wanted() && enforced == nil:
		return &failure{exitUsage, fmt.Errorf("the gateway at %s enforces nothing: it is older than policies; serve without these flags, or name another with --gateway", s.Gateway)}
	case !s.gates.wanted() && !s.NoPolicy && enforced != nil:
		s.note("the gateway still enforces the earlier policy of this label; --no-policy ends that")
	}
	return nil
}

// shared prints a link that lets visitors in, if a flag asks for one.
func (s *serving) shared(session *reversehttp.Session) error {
	if s.Share == 0 {
		return nil
	}
	client := s.CA.client()
	defer client.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(context.Background(), claimTimeout)
	defer cancel()
	c, err := recordings.Find(ctx, client, s.Gateway, session.Label(), session.Token())
	if err != nil {
		return err
	}
	url, err := c.Share(ctx, s.Share)
	if err != nil {
		return err
	}
	s.view.shared(url, s.Share)
	return nil
}
