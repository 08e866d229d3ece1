package recording

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// masked stands for a value that is hidden.
const masked = "[masked]"

// The rules by which the console hides values until asked for them (web/pages/mask.js).
var (
	// telling is what names of secrets have in them, whatever is between their words.
	telling = regexp.MustCompile(`token|secret|passw|passphrase|signature|session|sessid|credential|apikey|privatekey|accesskey|signingkey|encryptionkey|authorization|cookie|saml`)
	// words name secrets where they are words of a name: within other words they tell nothing.
	words = []string{"auth", "jwt", "otp", "pass", "pin", "pwd", "sid", "sig", "hmac", "bearer"}
	// whole are names of secrets.
	whole = []string{"key", "x-key"}

	separators = regexp.MustCompile(`[^a-z0-9]+`)
	capitals   = regexp.MustCompile(`([a-z0-9])([A-Z])`)
)

// isSecret reports whether a field, or a parameter of a query, is likely to hold a secret.
func isSecret(name string) bool {
	const most = 256
	name = name[:min(len(name), most)]
	lower := strings.ToLower(name)
	if slices.Contains(whole, lower) || telling.MatchString(separators.ReplaceAllString(lower, "")) {
		return true
	}
	split := separators.Split(strings.ToLower(capitals.ReplaceAllString(name, "$1-$2")), -1)
	return slices.ContainsFunc(split, func(word string) bool { return slices.Contains(words, word) })
}

// isURL reports whether the value of a field is a URL.
func isURL(name string) bool {
	switch strings.ToLower(name) {
	case "referer", "location", "content-location", "x-forwarded-uri", "x-forwarded-url", "x-original-uri", "x-original-url":
		return true
	}
	return false
}

// urlOf returns a URL with its secrets, or without.
func urlOf(u string, secrets bool) string {
	if secrets {
		return u
	}
	return maskURL(u)
}

// authority is that of a URL which has a user, and maybe a password.
var authority = regexp.MustCompile(`^([A-Za-z][A-Za-z0-9+.-]*://)[^/?#]*@`)

// maskURL returns a URL without a password, and without values of parameters that are named like secrets, in query and fragment.
func maskURL(u string) string {
	u = authority.ReplaceAllString(u, "${1}"+url.QueryEscape(masked)+"@")
	at := strings.IndexAny(u, "?#")
	if at < 0 {
		return u
	}
	parts := strings.FieldsFunc(u[at:], func(r rune) bool { return r == '&' || r == '?' || r == '#' })
	rest := u[at:]
	for _, one := range parts {
		if name, _, ok := strings.Cut(one, "="); ok && isSecret(unescaped(name)) {
			rest = strings.Replace(rest, one, name+"="+url.QueryEscape(masked), 1)
		}
	}
	return u[:at] + rest
}
