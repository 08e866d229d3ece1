package terms

import (
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"

	"reversehttp/server/claim"
)

// Viewer is the name of the member with a token that may look at a claim but change nothing.
const Viewer = "viewer"

// viewer is the value of that member. The token is returned once, and only its hash is stored.
type viewer struct {
	Hash string `json:"hash"`
}

// Shown implements [claim.Term].
func (v viewer) Shown() any { return shownViewer(v) }

// shownViewer is what is shown of a viewer: that there is one.
type shownViewer viewer

// MarshalJSON implements [json.Marshaler].
func (shownViewer) MarshalJSON() ([]byte, error) { return []byte("true"), nil }

// NewViewer mints a viewer's token and returns it with its term.
func NewViewer() (token string, term claim.Term) {
	token = claim.MintToken(claim.ViewerToken)
	return token, viewer{hashOf(token)}
}

func hashOf(token string) string {
	h := claim.HashToken(token)
	return hex.EncodeToString(h[:])
}

// MayLook reports whether a token is the viewer's token of a claim, in constant time.
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
				return nil, errors.New("send viewer: true by PATCH to mint a viewer's token")
			}
			return v, nil
		},
		Example: `{"hash":"secret-89abcdef0123456789abcdef0123456789abcdef0123456789abcdef0"}`,
	})
}
