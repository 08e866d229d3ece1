// Package strangers protects people from pages of claims that nobody vouches for, because they were
// made without a key of the gateway. Browsers show a warning before such a page, forms do not work
// while a claim is young, and there is a page for reporting abuse.
package strangers

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"time"

	"reversehttp/server/budget"
	"reversehttp/server/claim"
	"reversehttp/server/field"
	"reversehttp/server/publicurl"
	"reversehttp/server/terms"
	"reversehttp/server/trust"
)

// Guard protects visitors of strangers' claims. Nil does nothing.
type Guard struct {
	public *publicurl.Template
	trust  trust.Peers
	key    [32]byte // for the values of cookies; random in each process
}

// NewGuard returns a guard for the claims of a gateway.
func NewGuard(public *publicurl.Template, peers trust.Peers) *Guard {
	g := &Guard{public: public, trust: peers}
	_, _ = rand.Read(g.key[:])
	return g
}

// At returns the guard for a claim's own domain, which has the given template. The warning, its
// form and its cookie then belong to that origin.
func (g *Guard) At(public *publicurl.Template) *Guard {
	if g == nil {
		return nil
	}
	at := *g
	at.public = public
	return &at
}

// young is how long forms do not work in the pages of a claim.
const young = 24 * time.Hour

// formless is the Content-Security-Policy of a page without forms. The page keeps its origin, and
// with it its storage.
const formless = "sandbox allow-same-origin allow-scripts allow-popups allow-modals allow-downloads allow-pointer-lock allow-orientation-lock allow-presentation allow-top-navigation-by-user-activation allow-storage-access-by-user-activation"

// Confine adds a policy to the fields of an answer that disables forms in pages of a young claim.
// All policies of an answer apply, so the handler's own cannot loosen this one, and the policy of
// the path shape stays as strict as it is.
func (g *Guard) Confine(h http.Header, c *claim.Claim) {
	if g == nil {
		return
	}
	if by := terms.Made(c); !by.Keyed && by.MadeMs > 0 && time.Since(time.UnixMilli(by.MadeMs)) < young {
		h["Content-Security-Policy"] = append(h["Content-Security-Policy"], formless)
	}
}

// stranger reports whether a claim was made without a key.
func stranger(c *claim.Claim) bool { return !terms.Made(c).Keyed }

// cookie returns the name of the cookie that marks a warned browser. With https no other host can
// set it.
func (g *Guard) cookie() string {
	switch {
	case g.public.Scheme != "https":
		return field.OwnCookies + "visited"
	case g.public.PathPrefix != "":
		return "__Secure-" + field.OwnCookies + "visited"
	}
	return "__Host-" + field.OwnCookies + "visited"
}

// mark returns the value of the cookie for a label and the address of a visitor. It differs for
// each address, so a page cannot learn it elsewhere and set it in the visitor's browser.
func (g *Guard) mark(r *http.Request, label string) string {
	of := hmac.New(sha256.New, g.key[:])
	_, _ = of.Write([]byte(label + "\x00" + budget.Subscriber(g.trust.Address(r)).String()))
	return base64.RawURLEncoding.EncodeToString(of.Sum(nil))
}

// warned reports whether the browser that sent r was warned about the pages of a label.
func (g *Guard) warned(r *http.Request, label string) bool {
	want, found := []byte(g.mark(r, label)), false
	for _, c := range r.CookiesNamed(g.cookie()) {
		found = found || hmac.Equal([]byte(c.Value), want)
	}
	return found
}
