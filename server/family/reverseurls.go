package family

import (
	"encoding/base64"
	"net/http"

	"reversehttp/server/claim"
	"reversehttp/server/publicurl"
)

// reverseURLs makes the URLs for programs of 2008 to 2012; see [reverseHTTP].
type reverseURLs struct{ public *publicurl.Template }

// access returns the access point.
func (u reverseURLs) access() string { return u.public.Control + "reversehttp" }

// private returns the private URL of a label.
func (u reverseURLs) private(label, token string) string {
	return u.access() + "/" + label + "/" + base64.RawURLEncoding.EncodeToString([]byte(token))
}

// request returns a Request URL.
func (u reverseURLs) request(label, token, session, cursor string) string {
	return u.private(label, token) + "/" + session + "/" + cursor
}

// fresh returns a Request URL of a new session, which a poll of it opens.
func (u reverseURLs) fresh(label, token string) string {
	at := claim.NewPlace(reverseHTTPName)
	return u.request(label, token, at.Session, at.Cursor)
}

// tell sets the fields that name the URLs of a claim. first is its Request URL.
func (u reverseURLs) tell(w http.ResponseWriter, label, token, first string) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Link", "<"+first+`>; rel="first", <`+u.public.Base(label)+`>; rel="related"`)
	h.Set("Location", u.private(label, token))
}
