package policy

import (
	"slices"
	"strings"

	"reversehttp/schema"
	"reversehttp/server/claim"
	"reversehttp/server/problem"
)

// letIn lets in visitors with a share, a password or a token that the policy accepts.
type letIn struct {
	basic  map[string]*known // by user
	bearer []bearer
	share  bool
	// challenge are the fields that ask for credentials.
	challenge []claim.Field
}

// known is a user, and their password once it was right.
type known struct {
	hash string
	proven
}

// newLetIn returns the letIn of a policy of a label; nil if the policy lets everybody in.
func newLetIn(p *Policy, label string) *letIn {
	l := &letIn{basic: map[string]*known{}, bearer: p.Bearer, share: p.Share}
	for _, one := range p.Basic {
		l.basic[one.User] = &known{hash: one.Hash}
	}
	ask := func(challenge string) {
		l.challenge = append(l.challenge, claim.Field{Name: "WWW-Authenticate", Value: challenge})
	}
	if p.Basic != nil {
		ask(`Basic realm="` + label + `", charset="UTF-8"`)
	}
	if p.Bearer != nil {
		ask(`Bearer realm="` + label + `"`)
	}
	if len(l.challenge) == 0 && !p.Share {
		return nil
	}
	return l
}

// judge is the step. The program never gets the credentials that it checks.
func (l *letIn) judge(a *asked) *problem.Problem {
	shown := values(a.head, "Authorization")
	checked := slices.ContainsFunc(shown, l.checks)
	if checked {
		a.verdict.Drop = append(a.verdict.Drop, "Authorization")
	}
	switch {
	case l.share && a.guard.lets(a.cookies):
		return nil
	case l.challenge == nil:
		return &problem.Problem{Code: schema.CodeShareNeeded}
	case !checked:
		return l.refuse(schema.CodeCredentialsNeeded)
	}
	scheme, secret, _ := strings.Cut(shown[0], " ")
	secret = strings.TrimSpace(secret)
	if p := a.guessed(true); p != nil { // before anything is compared, so that nobody learns what is right
		return p
	}
	var right bool
	var p *problem.Problem
	switch {
	case len(shown) > 1: // which one the program would have taken is not known
		p = a.guessed(false)
	case strings.EqualFold(scheme, "Bearer"):
		right = letsBearer(l.bearer, secret)
		p = a.guessed(right)
	default:
		right, p = l.letsBasic(a, secret)
	}
	switch {
	case p != nil:
		return p
	case !right:
		return l.refuse(schema.CodeCredentialsWrong)
	}
	return nil
}

// checks reports whether an Authorization is of a scheme that is checked.
func (l *letIn) checks(authorization string) bool {
	scheme, _, _ := strings.Cut(authorization, " ")
	return len(l.basic) > 0 && strings.EqualFold(scheme, "Basic") || len(l.bearer) > 0 && strings.EqualFold(scheme, "Bearer")
}

// letsBasic reports whether credentials of Basic are right, and counts wrong ones. It fails if too many are being
// checked, and if too many were wrong.
func (l *letIn) letsBasic(a *asked, secret string) (right bool, p *problem.Problem) {
	user, password, ok := readBasic(secret)
	if !ok {
		return false, a.guessed(false)
	}
	one := l.basic[user]
	if one != nil && one.has(password) {
		return true, nil
	}
	turn := checking.do(func() {
		if p = a.guessed(true); p != nil { // others that came at once were wrong meanwhile
			return
		}
		hash := absentUser()
		if one != nil {
			hash = []byte(one.hash)
		}
		right = compare(hash, []byte(password)) == nil && one != nil
		p = a.guessed(right)
	}, append(ownersOf(a.apart), a.guard)...)
	switch {
	case !turn:
		return false, &problem.Problem{Code: schema.CodeQueueFull, Detail: "Too many passwords are being checked. Try again soon."}
	case right:
		one.keep(password)
	}
	return right, p
}

// guessed counts wrong credentials of a visitor, and refuses a visitor whose address showed too many.
func (a *asked) guessed(right bool) *problem.Problem {
	wait := a.guard.policies.Guesses.Judge(a.apart, right)
	if wait <= 0 {
		return nil
	}
	return &problem.Problem{Code: schema.CodeRateLimited, After: wait, Detail: "Your address showed too many wrong passwords or tokens. It may try again when a minute is over."}
}

// refuse asks for credentials.
func (l *letIn) refuse(code schema.Code) *problem.Problem {
	return &problem.Problem{Code: code, Fields: l.challenge}
}
