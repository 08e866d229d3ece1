// Package strangers keeps people safe from pages of claims that nobody vouches for: those that were made without a key of the
// gateway. Browsers show a warning before such a page, forms do not work in young ones, and there is a page to report abuse.
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

// Guard stands before the claims of strangers. Nil guards none.
type Guard struct {
	public *publicurl.Template
	trust  trust.Peers
	key    [32]byte // of what is in cookies; another one in each process
}

// NewGuard returns a guard for the claims of a gateway.
func NewGuard(public *publicurl.Template, peers trust.Peers) *Guard {
	g := &Guard{public: public, trust: peers}
	_, _ = rand.Read(g.key[:])
	return g
}

// At returns what guards visitors at a domain of a claim's own, whose public URL that template has: the warning is of that origin, and
// so are its form and its cookie.
func (g *Guard) At(public *publicurl.Template) *Guard {
	if g == nil {
		return nil
	}
	at := *g
	at.public = public
	return &at
}

// young is how long the pages of a claim have no forms.
const young = 24 * time.Hour

// formless is the policy of a page without forms. It keeps its origin: what it stores, and who it is to others, stays as it is.
const formless = "sandbox allow-same-origin allow-scripts allow-popups allow-modals allow-downloads allow-pointer-lock allow-orientation-lock allow-presentation allow-top-navigation-by-user-activation allow-storage-access-by-user-activation"

// Confine adds to the fields of an answer what keeps forms out of the page of a young claim. Policies of one answer all hold, so
// that one of the handler's own is no way out, and the one of the path shape stays as strict as it is.
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

// cookie returns the name of the cookie that says that a browser was warned. With https no other host can set it.
func (g *Guard) cookie() string {
	switch {
	case g.public.Scheme != "https":
		return field.OwnCookies + "visited"
	case g.public.PathPrefix != "":
		return "__Secure-" + field.OwnCookies + "visited"
	}
	return "__Host-" + field.OwnCookies + "visited"
}

// mark returns the value of the cookie for a label and the address of a visitor. Nobody else's browser can have it, so a page
// cannot set it for the one that it is shown in.
func (g *Guard) mark(r *http.Request, label string) string {
	of := hmac.New(sha256.New, g.key[:])
	_, _ = of.Write([]byte(label + "\x00" + budget.Subscriber(g.trust.Address(r)).String()))
	return base64.RawURLEncoding.EncodeToString(of.Sum(nil))
}

// warned reports whether the browser that sends r was warned of the pages of a label.
func (g *Guard) warned(r *http.Request, label string) bool {
	want, found := []byte(g.mark(r, label)), false
	for _, c := range r.CookiesNamed(g.cookie()) {
		found = found || hmac.Equal([]byte(c.Value), want)
	}
	return found
}
