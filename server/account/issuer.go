package account

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/go-json-experiment/json"
)

// issuer verifies the tokens (JWT, RFC 7519) of one issuer. Their holders are accounts for as long
// as the tokens are valid.
type issuer struct {
	file           watched
	name, audience string
	keys           atomic.Pointer[jose.JSONWebKeySet]
}

// algorithms are the accepted signature algorithms. All are asymmetric, so that a token is valid
// neither with "none" nor with a public key used as the secret of a MAC.
var algorithms = []jose.SignatureAlgorithm{jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512, jose.ES256, jose.ES384, jose.ES512, jose.EdDSA}

const (
	// Skew is the tolerated difference between the clocks of the issuer and the gateway.
	Skew = time.Minute
	// tokenPrefix begins the names of holders of tokens. Names of accounts in a file cannot begin
	// with it.
	tokenPrefix = "jwt:"
	mostSubject = 128
	mostIssued  = 64 // labels in a token
)

// Trust makes the directory accept tokens that an issuer signed for an audience. path is a file
// with the issuer's keys (JWKS, RFC 7517).
func (d *Directory) Trust(path, name, audience string) error {
	i := &issuer{name: name, audience: audience}
	i.file = watched{path: path, take: func(content []byte) error {
		keys, err := parseKeys(content)
		if err != nil {
			return err
		}
		i.keys.Store(keys)
		d.log.Info("keys of the issuer read", "file", path, "keys", len(keys.Keys))
		return nil
	}}
	if _, err := i.file.look(); err != nil {
		return err
	}
	d.issuer = i
	return nil
}

// parseKeys parses a JWKS. It ignores keys that are not for signatures.
func parseKeys(content []byte) (*jose.JSONWebKeySet, error) {
	var all, keys jose.JSONWebKeySet
	if err := json.Unmarshal(content, &all); err != nil {
		return nil, fmt.Errorf("not a JWKS: %w", err)
	}
	for n, key := range all.Keys {
		switch {
		case key.Use != "" && key.Use != "sig":
			continue
		case !key.Valid(), !key.IsPublic():
			return nil, fmt.Errorf("key %d is not a public key", n)
		case key.KeyID == "" && len(all.Keys) > 1:
			return nil, fmt.Errorf("key %d has no kid, and there are several", n)
		}
		keys.Keys = append(keys.Keys, key)
	}
	if len(keys.Keys) == 0 {
		return nil, errors.New("it has no key for signatures")
	}
	return &keys, nil
}

// Texts about invalid secrets.
const (
	unknownKey  = "This is not a key of this gateway."
	mistypedKey = "This is no key that was ever minted: it was cut or mistyped."
)

// isToken reports whether a secret looks like a token of an issuer.
func isToken(secret string) bool {
	return strings.HasPrefix(secret, "ey") && strings.Count(secret, ".") == 2
}

// claims are the members of a token that the gateway uses.
type claims struct {
	jwt.Claims
	Labels []string `json:"labels"`
}

// holder returns the holder of a token, or why the token is invalid.
func (i *issuer) holder(token string) (h Holder, why string) {
	signed, err := jwt.ParseSigned(token, algorithms)
	if err != nil || len(signed.Headers) != 1 {
		return Holder{}, "The token is malformed, or signed in a way that is not taken here."
	}
	var c claims
	if !i.verify(signed, &c) {
		return Holder{}, "No key of the issuer signed this token."
	}
	if c.Expiry == nil {
		return Holder{}, "The token has no exp: it would never end."
	}
	err = c.ValidateWithLeeway(jwt.Expected{Issuer: i.name, AnyAudience: jwt.Audience{i.audience}, Time: time.Now()}, Skew)
	switch {
	case errors.Is(err, jwt.ErrExpired):
		return Holder{}, "The token has expired. Claim with a new one."
	case errors.Is(err, jwt.ErrInvalidIssuer), errors.Is(err, jwt.ErrInvalidAudience):
		return Holder{}, "The token is of another issuer, or for another audience."
	case err != nil:
		return Holder{}, "The token is not valid yet."
	case !validSubject(c.Subject):
		return Holder{}, fmt.Sprintf("The token has no sub of 1 to %d bytes.", mostSubject)
	case len(c.Labels) == 0 || len(c.Labels) > mostIssued:
		return Holder{}, fmt.Sprintf("The token has no labels, a list of 1 to %d patterns.", mostIssued)
	}
	for _, pattern := range c.Labels {
		if !ValidPattern(pattern) {
			return Holder{}, "The labels of the token are patterns of lower case letters, digits, hyphens, and * for any of them."
		}
	}
	return Holder{Name: tokenPrefix + c.Subject, Until: c.Expiry.Time().Add(Skew), labels: c.Labels}, ""
}

// verify reports whether the issuer signed a token, and decodes it.
func (i *issuer) verify(signed *jwt.JSONWebToken, into *claims) bool {
	head, keys := signed.Headers[0], i.keys.Load().Keys
	for _, key := range keys {
		if head.KeyID != key.KeyID && (head.KeyID != "" || len(keys) > 1) || key.Algorithm != "" && key.Algorithm != head.Algorithm {
			continue
		}
		if signed.Claims(key.Key, into) == nil {
			return true
		}
	}
	return false
}

func validSubject(s string) bool {
	return s != "" && len(s) <= mostSubject && utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}
