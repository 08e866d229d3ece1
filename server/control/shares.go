package control

import (
	"net/http"
	"time"

	"reversehttp/schema"
	"reversehttp/server/claim"
	"reversehttp/server/problem"
	"reversehttp/server/terms"
)

// Shares serves {shares}: links by which the owner of a claim lets visitors in, see schema/README.md, section 14. Its members are set
// before its first use and do not change.
type Shares struct {
	Claims *Claims
	// New makes a link that is valid for a lease, for one browser only if once is set, and returns its URL. Its error is a
	// [*problem.Problem].
	New func(c *claim.Claim, lease time.Duration, once bool) (url string, err error)
	// End ends all links of a claim.
	End func(*claim.Claim)
}

// usualShare is how long a link is valid unless its owner says otherwise.
const usualShare = 2 * time.Hour

// Make answers POST {shares}.
func (s *Shares) Make(w http.ResponseWriter, r *http.Request) {
	var ask schema.ShareRequest
	if _, err := s.Claims.decode(w, r, &ask, maxControlBytes); err != nil {
		err.Write(w, r)
		return
	}
	lease, once := usualShare, ask.Once == nil || *ask.Once
	if ask.Lease != nil {
		if *ask.Lease < 1 || *ask.Lease > int(terms.LongestLease/time.Second) {
			(&problem.Problem{Code: schema.CodeBadLease, Pointer: "/lease"}).Write(w, r)
			return
		}
		lease = time.Duration(*ask.Lease) * time.Second
	}
	url, err := s.New(claimOf(r), lease, once)
	if err != nil {
		problem.Of(err).Write(w, r)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	writeJSON(w, http.StatusCreated, schema.ShareAnswer{URL: url, Lease: int(lease / time.Second), Once: once})
}

// Remove answers DELETE {shares}.
func (s *Shares) Remove(w http.ResponseWriter, r *http.Request) {
	s.End(claimOf(r))
	w.WriteHeader(http.StatusNoContent)
}
