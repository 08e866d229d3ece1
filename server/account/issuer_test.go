package account

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// signed returns a token with members, signed by an algorithm and a key of a name.
func signed(t *testing.T, alg jose.SignatureAlgorithm, key any, kid string, members map[string]any) string {
	t.Helper()
	o := (&jose.SignerOptions{}).WithType("JWT")
	if kid != "" {
		o = o.WithHeader("kid", kid)
	}
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, o)
	if err != nil {
		t.Fatal(err)
	}
	token, err := jwt.Signed(s).Claims(members).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// jwks returns the JSON of a set of keys, by kid.
func jwks(t *testing.T, keys ...jose.JSONWebKey) []byte {
	t.Helper()
	content, err := json.Marshal(jose.JSONWebKeySet{Keys: keys})
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func trusting(t *testing.T, keys []byte) (*Directory, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "jwks.json")
	if err := os.WriteFile(path, keys, 0o600); err != nil {
		t.Fatal(err)
	}
	d, err := Open("", nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return d, d.Trust(path, "https://issuer.example", "gateway.example")
}

// newPairs returns private keys of all kinds by kid, and the public ones.
func newPairs(t *testing.T) (private map[string]crypto.Signer, public []jose.JSONWebKey) {
	t.Helper()
	rs, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	private = map[string]crypto.Signer{"rs": rs, "ec": ec, "ed": ed}
	for _, kid := range []string{"rs", "ec", "ed"} {
		public = append(public, jose.JSONWebKey{Key: private[kid].Public(), KeyID: kid, Use: "sig"})
	}
	public[1].Algorithm = string(jose.ES256)
	return private, public
}

func TestOnlyATokenOfTheIssuerForThisGatewayIsAccepted(t *testing.T) {
	private, public := newPairs(t)
	_, stranger, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		d, err := trusting(t, jwks(t, public...))
		if err != nil {
			t.Fatal(err)
		}
		now := time.Now()
		with := func(changes map[string]any) map[string]any {
			m := map[string]any{"iss": "https://issuer.example", "aud": "gateway.example", "sub": "ann", "exp": now.Add(time.Hour).Unix(), "labels": []string{"ann-*"}}
			for name, v := range changes {
				if m[name] = v; v == nil {
					delete(m, name)
				}
			}
			return m
		}
		for name, c := range map[string]struct {
			token string
			says  string // empty if it is accepted
		}{
			"RS256":                    {signed(t, jose.RS256, private["rs"], "rs", with(nil)), ""},
			"PS512":                    {signed(t, jose.PS512, private["rs"], "rs", with(nil)), ""},
			"ES256":                    {signed(t, jose.ES256, private["ec"], "ec", with(nil)), ""},
			"EdDSA":                    {signed(t, jose.EdDSA, private["ed"], "ed", with(nil)), ""},
			"several audiences":        {signed(t, jose.EdDSA, private["ed"], "ed", with(map[string]any{"aud": []string{"x", "gateway.example"}})), ""},
			"expired within the skew":  {signed(t, jose.EdDSA, private["ed"], "ed", with(map[string]any{"exp": now.Add(-Skew + time.Second).Unix()})), ""},
			"begins within the skew":   {signed(t, jose.EdDSA, private["ed"], "ed", with(map[string]any{"nbf": now.Add(Skew - time.Second).Unix()})), ""},
			"expired":                  {signed(t, jose.EdDSA, private["ed"], "ed", with(map[string]any{"exp": now.Add(-Skew - time.Second).Unix()})), "expired"},
			"not yet":                  {signed(t, jose.EdDSA, private["ed"], "ed", with(map[string]any{"nbf": now.Add(Skew + time.Second).Unix()})), "not valid yet"},
			"without exp":              {signed(t, jose.EdDSA, private["ed"], "ed", with(map[string]any{"exp": nil})), "no exp"},
			"another issuer":           {signed(t, jose.EdDSA, private["ed"], "ed", with(map[string]any{"iss": "https://other.example"})), "another issuer"},
			"no issuer":                {signed(t, jose.EdDSA, private["ed"], "ed", with(map[string]any{"iss": nil})), "another issuer"},
			"another audience":         {signed(t, jose.EdDSA, private["ed"], "ed", with(map[string]any{"aud": "other.example"})), "another audience"},
			"no audience":              {signed(t, jose.EdDSA, private["ed"], "ed", with(map[string]any{"aud": nil})), "another audience"},
			"no subject":               {signed(t, jose.EdDSA, private["ed"], "ed", with(map[string]any{"sub": nil})), "no sub"},
			"a subject in two lines":   {signed(t, jose.EdDSA, private["ed"], "ed", with(map[string]any{"sub": "a\nb"})), "no sub"},
			"no labels":                {signed(t, jose.EdDSA, private["ed"], "ed", with(map[string]any{"labels": nil})), "no labels"},
			"invalid labels":           {signed(t, jose.EdDSA, private["ed"], "ed", with(map[string]any{"labels": []string{"[a]"}})), "patterns"},
			"signed by somebody":       {signed(t, jose.EdDSA, stranger, "ed", with(nil)), "No key"},
			"a key that is not there":  {signed(t, jose.EdDSA, private["ed"], "xx", with(nil)), "No key"},
			"no kid, of several":       {signed(t, jose.EdDSA, private["ed"], "", with(nil)), "No key"},
			"the key of another":       {signed(t, jose.EdDSA, private["ed"], "ec", with(nil)), "No key"},
			"a public key as a secret": {signed(t, jose.HS256, secretOf(t, private["rs"].Public()), "rs", with(nil)), "malformed"},
			"no signature":             {unsigned(t, with(nil)), "malformed"},
			"nonsense":                 {"ey.ey.ey", "malformed"},
			"no token":                 {"sesame", unknownKey},
		} {
			h, why := d.Holder(c.token)
			if (why == "") != (c.says == "") || !strings.Contains(why, c.says) {
				t.Errorf("%s: %q, want %q", name, why, c.says)
			}
			if c.says == "" && (h.Name != "jwt:ann" || !h.MayClaim("ann-1") || h.MayClaim("ann") || h.MayClaim("") || h.Until.IsZero()) {
				t.Errorf("%s: %+v", name, h)
			}
		}
	})
}

// secretOf returns the bytes that libraries used as the secret of a MAC if they let a token choose its
// algorithm.
func secretOf(t *testing.T, public crypto.PublicKey) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// unsigned returns a token whose algorithm is none.
func unsigned(t *testing.T, members map[string]any) string {
	t.Helper()
	content, err := json.Marshal(members)
	if err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","kid":"ed"}`)) + "." + base64.RawURLEncoding.EncodeToString(content) + "."
}

func TestAJWKSHasPublicKeysOfSignatures(t *testing.T) {
	private, public := newPairs(t)
	nameless := []jose.JSONWebKey{{Key: public[0].Key}, {Key: public[2].Key}}
	for name, c := range map[string]struct {
		keys []byte
		good bool
	}{
		"three":             {jwks(t, public...), true},
		"one without a kid": {jwks(t, nameless[0]), true},
		"two without a kid": {jwks(t, nameless...), false},
		"a private one":     {jwks(t, jose.JSONWebKey{Key: private["ed"], KeyID: "ed"}), false},
		"a secret":          {jwks(t, jose.JSONWebKey{Key: []byte("0123456789abcdef0123456789abcdef"), KeyID: "hs"}), false},
		"one of encryption": {jwks(t, jose.JSONWebKey{Key: public[0].Key, KeyID: "rs", Use: "enc"}), false},
		"none":              {[]byte(`{"keys":[]}`), false},
		"no JSON":           {[]byte(`x`), false},
	} {
		if _, err := trusting(t, c.keys); (err == nil) != c.good {
			t.Errorf("%s: %v", name, err)
		}
	}
}
