package door

import (
	"net/http"

	"reversehttp/schema"
	"reversehttp/server/account"
	"reversehttp/server/admission"
	"reversehttp/server/claim"
	"reversehttp/server/problem"
)

// Entrance opens sessions for programs.
type Entrance struct {
	Claims    *claim.Registry
	Admission *admission.Admission
	// Refuses returns why a request may open nothing: a page of another site made a browser send
	// it. Nil refuses none.
	Refuses func(*http.Request) error
}

// admits returns the error of Refuses, if any.
func (e *Entrance) admits(r *http.Request) error {
	if e.Refuses == nil {
		return nil
	}
	return e.Refuses(r)
}

// Enter opens a session of a door, for the program that sends r, to serve a label. The program
// shows the label's token as Bearer (RFC 6750) or as the password of Basic (RFC 7617), which claims
// the label if nobody has. The error is for [Refuse].
func (e *Entrance) Enter(r *http.Request, door, label string) (*claim.Session, error) {
	token, shown := admission.SecretOf(r)
	if !shown || token == "" {
		return nil, &problem.Problem{Code: schema.CodeTokenNeeded}
	}
	o, err := e.EnterWith(r, claim.Place{Door: door}, label, token, claim.Settings{})
	if err != nil {
		return nil, err
	}
	return o.Session, nil
}

// EnterWith is Enter with a token that came in another way, and for a session that the program may
// know from before; see [claim.Registry.Enter]. An empty token is minted.
func (e *Entrance) EnterWith(r *http.Request, at claim.Place, label, token string, set claim.Settings) (*claim.Opened, error) {
	if err := e.admits(r); err != nil {
		return nil, err
	}
	of := e.Claims.Lookup(label)
	if err := e.Admission.MayEnter(r, label, of != nil); err != nil {
		return nil, err
	}
	if p := e.Admission.ShownFor(e.Admission.From(r), label, token, of); p != nil {
		return nil, p
	}
	by := account.Holder{Keyed: e.Admission.HoldsKey(r)}
	if of == nil {
		if p := e.Admission.MayName(by, label); p != nil {
			return nil, p
		}
	}
	e.Admission.By(by, r, nil, &set)
	return e.Claims.Enter(e.Admission.Trust.Address(r), at, label, token, set)
}

// EnterListed is Enter for a program that the operator lets in to serve a label with its token. The
// program shows neither the token nor a key.
func (e *Entrance) EnterListed(r *http.Request, door, label, token string) (*claim.Session, error) {
	if err := e.admits(r); err != nil {
		return nil, err
	}
	if p := e.Admission.TooOften(r); p != nil {
		return nil, p
	}
	if p := e.Admission.Shown(e.Admission.From(r), true); p != nil {
		return nil, p
	}
	var set claim.Settings
	e.Admission.By(account.Holder{Keyed: true}, r, nil, &set)
	o, err := e.Claims.Enter(e.Admission.Trust.Address(r), claim.Place{Door: door}, label, token, set)
	if err != nil {
		return nil, err
	}
	return o.Session, nil
}
