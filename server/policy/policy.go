// Package policy has what the owner of a claim has the gateway enforce of visitors before the program sees
// anything (schema/README.md, section 14).
//
// A [Policy] is the term that is kept, and [Policies] are the gates that enforce it. Each kind has a file with the
// check of what an owner gives, and with the step that judges a request. gate.go has the order of the steps.
package policy

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/go-json-experiment/json"

	"reversehttp/schema"
	"reversehttp/server/claim"
	"reversehttp/server/problem"
	"reversehttp/server/terms"
)

// Policy is what an owner declared, as it is kept.
type Policy struct {
	Basic   []login               `json:"basic,omitempty"`
	Bearer  []bearer              `json:"bearer,omitempty"`
	IP      *schema.PolicyIP      `json:"ip,omitempty"`
	Methods []string              `json:"methods,omitempty"`
	Paths   []string              `json:"paths,omitempty"`
	Rate    *schema.PolicyRate    `json:"rate,omitempty"`
	Content *schema.PolicyContent `json:"content,omitempty"`
	Webhook *webhook              `json:"webhook,omitempty"`
	Share   bool                  `json:"share,omitempty"`
	Offline *schema.PolicyOffline `json:"offline,omitempty"`
}

func init() {
	terms.Add(terms.Member{Name: terms.Policy, Given: given, Read: kept, Example: example})
}

// example is a policy as it is kept.
const example = `{"basic":[{"user":"ann","hash":"secret-1"}],"bearer":[{"name":"ci","hash":"secret-2"}],"ip":{"allow":["203.0.113.0/24"]},` +
	`"methods":["GET"],"paths":["/hook/"],"rate":{"perMinute":60},"content":{"maxBytes":1024},` +
	`"webhook":{"preset":"github","secret":"secret-3"},"share":true,"offline":{"mode":"canned","status":503,"body":"back soon"}}`

// fault returns the error of a bad member: at is its place in the policy.
func fault(at, why string, args ...any) error {
	return &terms.Error{Code: schema.CodeBadMember, Member: strings.TrimSuffix(terms.Policy+"/"+at, "/"), Detail: fmt.Sprintf(why, args...)}
}

// given reads a policy from its owner. It refuses members that the gateway does not know, since it could not
// enforce them.
func given(value []byte, from netip.Addr) (claim.Term, error) {
	var ask schema.Policy
	if err := json.Unmarshal(value, &ask, json.RejectUnknownMembers(true)); err != nil {
		p := problem.BadJSON(err)
		if errors.Is(err, json.ErrUnknownName) {
			p.Detail = "This gateway does not know the member, so it could not enforce it."
		}
		return nil, fault(strings.TrimPrefix(p.Pointer, "/"), "%s", p.Detail)
	}
	p := &Policy{Rate: ask.Rate, Content: ask.Content, IP: ask.IP}
	for _, check := range []func(*schema.Policy, *Policy) error{checkIP, checkMethods, checkPaths, checkRate, checkContent, checkBearer, checkBasic, checkWebhook, checkShare, checkOffline} {
		if err := check(&ask, p); err != nil {
			return nil, err
		}
	}
	if err := hashPasswords(&ask, p, from); err != nil {
		return nil, err
	}
	return p, nil
}

// kept reads a policy as it was kept.
func kept(value []byte) (claim.Term, error) {
	p := &Policy{}
	if err := json.Unmarshal(value, p, json.RejectUnknownMembers(true)); err != nil {
		return nil, fmt.Errorf("policy: %w", err)
	}
	return p, nil
}

// After implements [claim.Successor]: an entry without a secret takes that of the old entry of its name.
func (p *Policy) After(old claim.Term) (claim.Term, error) {
	before, _ := old.(*Policy)
	if before == nil {
		before = &Policy{}
	}
	next := *p
	for _, take := range []func(next, before *Policy) error{takeBasic, takeBearer, takeWebhook} {
		if err := take(&next, before); err != nil {
			return nil, refused(err)
		}
	}
	return &next, nil
}

// refused converts an error of package terms to a problem.
func refused(err error) error {
	e, ok := errors.AsType[*terms.Error](err)
	if !ok {
		return err
	}
	return &problem.Problem{Code: e.Code, Pointer: "/" + e.Member, Detail: e.Detail}
}

// Shown implements [claim.Term].
func (p *Policy) Shown() any {
	s := schema.Policy{IP: p.IP, Rate: p.Rate, Content: p.Content, Offline: p.Offline}
	if p.Methods != nil {
		s.Methods = &p.Methods
	}
	if p.Paths != nil {
		s.Paths = &p.Paths
	}
	p.showBasic(&s)
	p.showBearer(&s)
	if p.Share {
		s.Share = &p.Share
	}
	if p.Webhook != nil {
		s.Webhook = &schema.PolicyWebhook{Preset: p.Webhook.Preset}
	}
	return s
}

// Fits is the Fits of [claim.Options]: it returns why a claim cannot have a policy. origins reports whether claims
// have origins of their own.
func Fits(t claim.Terms, origins bool) error {
	p, _ := t.Others[terms.Policy].(*Policy)
	if p == nil || origins {
		return nil
	}
	if p.Basic != nil {
		return refused(fault("basic", "Claims of this gateway share an origin, so a browser would show one's password to all others. Use bearer."))
	}
	if p.Share {
		return refused(fault("share", "Claims of this gateway share an origin, so a browser would show what lets it in to all others. Use bearer."))
	}
	return nil
}

// count refuses an empty list, and one with more than most entries.
func count[T any](at string, list []T, most int) error {
	if len(list) < 1 || len(list) > most {
		return fault(at, "A list of %s has 1 to %d entries. Leave the member out to end it.", at, most)
	}
	return nil
}

// mostName bounds a name that an owner gives an entry, in bytes.
const mostName = 64

// checkName refuses a name that is bad, or that another entry has.
func checkName(at, name string, known map[string]bool) error {
	switch {
	case name == "" || len(name) > mostName || strings.ContainsFunc(name, control):
		return fault(at, "A name has 1 to %d bytes, and no control characters.", mostName)
	case known[name]:
		return fault(at, "Another entry has this name.")
	}
	known[name] = true
	return nil
}

// control reports whether a character is a control character.
func control(c rune) bool { return c < 0x20 || c == 0x7F }
