// Package secret recognises likely secrets in requests and answers, so that their values can be
// hidden where they are shown. The console has the same rules (web/pages/mask.js).
package secret

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// Masked replaces a hidden value.
const Masked = "[masked]"

var (
	// telling matches names that contain a word for secrets, even within other words.
	telling = regexp.MustCompile(`token|secret|passw|passphrase|signature|session|sessid|credential|apikey|privatekey|accesskey|signingkey|encryptionkey|authorization|cookie|saml`)
	// words name secrets if they are whole words of a name. Within other words they mean nothing.
	words = []string{"auth", "jwt", "otp", "pass", "pin", "pwd", "sid", "sig", "hmac", "bearer"}
	// whole are complete names of secrets.
	whole = []string{"key", "x-key"}

	separators = regexp.MustCompile(`[^a-z0-9]+`)
	capitals   = regexp.MustCompile(`([a-z0-9])([A-Z])`)
)

// Named reports whether a field or query parameter with a name is likely to hold a secret.
func Named(name string) bool {
	const most = 256
	name = name[:min(len(name), most)]
	lower := strings.ToLower(name)
	if slices.Contains(whole, lower) || telling.MatchString(separators.ReplaceAllString(lower, "")) {
		return true
	}
	split := separators.Split(strings.ToLower(capitals.ReplaceAllString(name, "$1-$2")), -1)
	return slices.ContainsFunc(split, func(word string) bool { return slices.Contains(words, word) })
}

// Value returns the value of a field without secrets: [Masked] if the field is named like a secret,
// and with the secrets in its query masked if the value is a URL.
func Value(name, value string) string {
	switch {
	case Named(name):
		return Masked
	case hasURL[strings.ToLower(name)]:
		return URL(value)
	}
	return value
}

// hasURL are fields whose values are or contain URLs.
var hasURL = map[string]bool{
	"referer": true, "location": true, "content-location": true, "link": true, "hx-current-url": true,
	"x-forwarded-uri": true, "x-forwarded-url": true, "x-original-uri": true, "x-original-url": true,
}

// authority matches the authority of a URL with a user, and perhaps a password.
var authority = regexp.MustCompile(`([A-Za-z][A-Za-z0-9+.-]*://)[^/?#\s>]*@`)

// URL returns a target or URL with the password masked, and with the values of parameters that are
// named like secrets masked in query and fragment.
func URL(u string) string {
	hidden := url.QueryEscape(Masked)
	u = authority.ReplaceAllString(u, "${1}"+hidden+"@")
	at := strings.IndexAny(u, "?#")
	if at < 0 {
		return u
	}
	out := []byte(u[:at])
	for rest := u[at:]; rest != ""; {
		end := strings.IndexAny(rest[1:], "?#&;>, ") + 1
		if end == 0 {
			end = len(rest)
		}
		one := rest[1:end]
		out = append(out, rest[0])
		if name, _, ok := strings.Cut(one, "="); ok && Named(unescaped(name)) {
			one = name + "=" + hidden
		}
		out, rest = append(out, one...), rest[end:]
	}
	return string(out)
}

func unescaped(s string) string {
	if u, err := url.QueryUnescape(s); err == nil {
		return u
	}
	return s
}
