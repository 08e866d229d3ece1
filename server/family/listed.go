package family

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"

	"reversehttp/schema"
	"reversehttp/server/admission"
	"reversehttp/server/claim"
	"reversehttp/server/door"
	"reversehttp/server/problem"
)

// Device is a program that cannot show a token: it serves a label by a key in its path, which is
// the label's token. It uses the URLs of the doors ptth and comet2008, or parks as a device, with
// the key in place of the label. An address would identify it less well: it changes, and many
// devices share one.
type Device struct{ Label, Token string }

// ParseDevices parses devices in the form LABEL=TOKEN. Its error says what to do and shows no
// token.
func ParseDevices(listed []string) (all []Device, err error) {
	labels, tokens := map[string]bool{}, map[string]bool{}
	for _, one := range listed {
		label, token, ok := strings.Cut(one, "=")
		switch {
		case !ok:
			return nil, errors.New("give LABEL=TOKEN, such as demo=" + exampleKey)
		case !claim.ValidLabel(label):
			return nil, fmt.Errorf("%q can be no label: lower case letters, digits and hyphens, 1 to 63", label)
		case !validKey(token):
			return nil, fmt.Errorf("the token of %s is a part of a path: letters, digits and any of -._~, 1 to 256, such as %s", label, exampleKey)
		case token == label:
			return nil, fmt.Errorf("the token of %s is the label, which everybody knows: choose one that nobody guesses, such as %s", label, exampleKey)
		case labels[label]:
			return nil, fmt.Errorf("%s is listed twice: a label has one token", label)
		case tokens[token]:
			return nil, fmt.Errorf("the token of %s is that of another label: a device is known by it", label)
		}
		labels[label], tokens[token] = true, true
		all = append(all, Device{label, token})
	}
	return all, nil
}

// exampleKey is an example of the output of openssl rand -hex 16.
const exampleKey = "9f86d081884c7d659a2feaa0c55ad015"

// validKey reports whether a token can be a path segment without encoding.
func validKey(token string) bool {
	return claim.ValidToken(token) && !strings.ContainsAny(token, "+/=") && token != "." && token != ".."
}

// entrance lets in programs that show a token or are listed.
type entrance struct {
	g      *door.Host
	listed []Device
	hint   *sync.Once
}

// who returns the label of r and the token shown for it. name is the segment of its path with the
// label, or with the key of a device, which is never taken for a label, whatever else the device
// sends.
func (e *entrance) who(r *http.Request, name string) (label, token string, listed bool) {
	for _, d := range e.listed {
		if subtle.ConstantTimeCompare([]byte(d.Token), []byte(name)) == 1 {
			return d.Label, d.Token, true
		}
	}
	token, _ = admission.SecretOf(r)
	return name, token, false
}

// enter opens a session of a door for the program that sends r.
func (e *entrance) enter(r *http.Request, door, name string) (*claim.Session, error) {
	label, token, listed := e.who(r, name)
	if listed {
		return e.g.EnterListed(r, door, label, token)
	}
	if len(e.listed) > 0 && (token == "" || !claim.ValidLabel(label)) { // it may have been a key in the path
		if p := e.g.Admission.Shown(e.g.Admission.From(r), false); p != nil {
			return nil, p
		}
	}
	if token == "" && claim.ValidLabel(label) {
		e.hint.Do(func() {
			e.g.Log.Warn("a program that shows no token was refused", "label", label,
				"do", "have it send Authorization: Bearer TOKEN; or, where it cannot, start the gateway with --family-device "+label+"=TOKEN and give the program TOKEN in its path in place of the label")
		})
		return nil, problem.New(schema.CodeTokenNeeded, "")
	}
	return e.g.Enter(r, door, label)
}
