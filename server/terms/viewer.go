package terms

import (
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"

	"reversehttp/server/claim"
)

// Viewer is the name of the member that has a token which may look at a claim and change nothing.
const Viewer = "viewer"

// viewer is that member. Its token is told once, and only its hash is kept.
type viewer struct {
	Hash string `json:"hash"`
}

// Shown is that of [claim.Term].
func (v viewer) Shown() any { return shownViewer(v) }

// shownViewer is what is told of a viewer: that there is one.
type shownViewer viewer

// MarshalJSON implements [json.Marshaler].
func (shownViewer) MarshalJSON() ([]byte, error) { return []byte("true"), nil }

// NewViewer mints a token that may look.
func NewViewer() (token string, term claim.Term) {
	token = claim.MintToken(claim.ViewerToken)
	return token, viewer{hashOf(token)}
}

func hashOf(token string) string {
	h := claim.HashToken(token)
	return hex.EncodeToString(h[:])
}

// MayLook reports whether a token is the one of the viewer of a claim, in constant time.
func MayLook(c *claim.Claim, token string) bool {
	v, ok := c.State().Others[Viewer].(shownViewer)
	return ok && subtle.ConstantTimeCompare([]byte(v.Hash), []byte(hashOf(token))) == 1
}

func init() {
	Add(Member{
		Name: Viewer,
		Read: func(value []byte) (claim.Term, error) {
			var v viewer
			if err := json.Unmarshal(value, &v); err != nil || len(v.Hash) != hex.EncodedLen(len(claim.TokenHash{})) {
				return nil, errors.New("a viewer's token is minted by PATCH of the claim, with true")
			}
			return v, nil
		},
		Example: `{"hash":"secret-89abcdef0123456789abcdef0123456789abcdef0123456789abcdef0"}`,
	})
}
