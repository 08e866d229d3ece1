package policy

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
	"time"

	"reversehttp/schema"
	"reversehttp/server/claim"
	"reversehttp/server/field"
	"reversehttp/server/problem"
)

// A link is {url}.well-known/reversehttp/share/{secret}. The answer to GET is a page, so that a messenger that fetches the link for a
// preview does not spend it. The form on that page lets the browser in, by a cookie, and leads to the claim's URL. The cookie is
// signed, not kept, and is valid as long as its share exists.

const (
	sharePath = "/.well-known/reversehttp/share/"
	// maskedShare replaces the link of a refused request in recordings.
	maskedShare = sharePath + "[masked]"

	mostShares  = 100
	shareWeight = 256
	// mostCookies bounds the share cookies of a request that are checked.
	mostCookies = 8
)

// The names of the cookie, without and with https. Handlers neither get nor set it, as all cookies of the gateway's own.
const (
	plainCookie  = field.OwnCookies + "share"
	secureCookie = "__Host-" + plainCookie
)

// shares are the links of a claim that let in. A guard's mutex guards them.
type shares struct {
	key  []byte // signs cookies
	made map[shareID]*share
}

// shareID is the hash of a share's secret.
type shareID [sha256.Size]byte

type share struct {
	until time.Time
	once  bool
	spent bool
}

func checkShare(ask *schema.Policy, p *Policy) error {
	p.Share = ask.Share != nil && *ask.Share
	return nil
}

// Share makes a link that lets visitors in, and returns its URL. It fails with a [problem.Problem].
func (p *Policies) Share(c *claim.Claim, lease time.Duration, once bool) (url string, err error) {
	g, r := p.rulesOf(c)
	if r == nil || !r.of.Share {
		return "", problem.New(schema.CodeBadRequest, "This claim admits nobody by links. Set share in its policy to true first.")
	}
	secret, now := rand.Text(), time.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	for id, s := range g.shares.made {
		if !now.Before(s.until) {
			g.endShare(id)
		}
	}
	if len(g.shares.made) >= mostShares || !g.grow(shareWeight) {
		return "", problem.New(schema.CodeQuotaExceeded, "This claim has as many links as it may. End them, or wait until some are over.")
	}
	if g.shares.made == nil {
		g.shares.made, g.shares.key = make(map[shareID]*share), []byte(rand.Text())
	}
	g.shares.made[sha256.Sum256([]byte(secret))] = &share{until: now.Add(lease), once: once}
	return p.Public.Base(c.Label()) + strings.TrimPrefix(sharePath, "/") + secret, nil
}

// EndShares ends all links of a claim, and the access of browsers that they let in.
func (p *Policies) EndShares(c *claim.Claim) {
	if g, _ := p.rulesOf(c); g != nil {
		g.endShares()
	}
}

func (g *guard) endShares() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for id := range g.shares.made {
		g.endShare(id)
	}
}

// endShare ends a link. The caller holds g.mu.
func (g *guard) endShare(id shareID) {
	delete(g.shares.made, id)
	g.shrink(shareWeight)
}

// live returns a share that has not ended, or nil. The caller holds g.mu.
func (g *guard) live(id shareID) *share {
	if s := g.shares.made[id]; s != nil && time.Now().Before(s.until) {
		return s
	}
	return nil
}

// lets reports whether the cookies include one of a share that has not ended.
func (g *guard) lets(cookies []string) bool {
	n := 0
	for _, line := range cookies {
		for pair := range strings.SplitSeq(line, ";") {
			name, value, _ := strings.Cut(strings.TrimSpace(pair), "=")
			if name != g.policies.cookie() {
				continue
			}
			if n++; n > mostCookies {
				return false
			}
			if g.good(value) {
				return true
			}
		}
	}
	return false
}

// good reports whether the signature of a cookie is right and its share has not ended.
func (g *guard) good(value string) bool {
	all, err := base64.RawURLEncoding.DecodeString(value)
	if err != nil || len(all) != 2*sha256.Size {
		return false
	}
	id := shareID(all[:sha256.Size])
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.live(id) != nil && hmac.Equal(sign(g.shares.key, id[:]), all[sha256.Size:])
}

// cookie returns the name of the cookie.
func (p *Policies) cookie() string {
	if p.Public.Scheme == "https" {
		return secureCookie
	}
	return plainCookie
}

// shareStep answers a request for a link.
func shareStep(a *asked) *problem.Problem {
	id := shareID(sha256.Sum256([]byte(strings.TrimPrefix(a.path, sharePath))))
	switch a.head.Method {
	case http.MethodGet, http.MethodHead:
		if a.guard.lets(a.cookies) {
			a.verdict.Answer = onward()
			return nil
		}
		a.guard.mu.Lock()
		s := a.guard.live(id)
		there := s != nil && !(s.once && s.spent)
		a.guard.mu.Unlock()
		if !there {
			return &problem.Problem{Code: schema.CodeShareEnded}
		}
		a.verdict.Answer = sharePage(a.guard.policies.Public.Authority(a.guard.claim.Label()))
		return nil
	case http.MethodPost:
		cookie, ok := a.guard.spend(id)
		switch {
		case ok:
			a.verdict.Answer, a.verdict.Cookie = onward(), cookie
		case a.guard.lets(a.cookies): // it was clicked on twice
			a.verdict.Answer = onward()
		default:
			return &problem.Problem{Code: schema.CodeShareEnded}
		}
		return nil
	}
	return &problem.Problem{Code: schema.CodeMethodRefused, Fields: []claim.Field{{Name: "Allow", Value: "GET, HEAD, POST"}}}
}

// spend admits a browser, and returns the cookie for it. It reports false if the link is not valid.
func (g *guard) spend(id shareID) (cookie string, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.live(id)
	if s == nil || s.once && s.spent {
		return "", false
	}
	s.spent = true
	value := base64.RawURLEncoding.EncodeToString(append(id[:], sign(g.shares.key, id[:])...))
	left := int((time.Until(s.until) + time.Second - 1) / time.Second)
	cookie = g.policies.cookie() + "=" + value + "; Path=/; Max-Age=" + strconv.Itoa(left) + "; HttpOnly; SameSite=Lax"
	if g.policies.Public.Scheme == "https" {
		cookie += "; Secure"
	}
	return cookie, true
}

// onward returns a redirect to the claim's URL.
func onward() *claim.Answer {
	return &claim.Answer{Status: http.StatusSeeOther, Fields: []claim.Field{{Name: "Location", Value: "/"}, {Name: "Cache-Control", Value: "no-store"}, {Name: "Referrer-Policy", Value: "no-referrer"}}}
}

// sign returns the HMAC-SHA256 of the concatenated texts.
func sign(key []byte, texts ...[]byte) []byte {
	h := hmac.New(sha256.New, key)
	for _, text := range texts {
		h.Write(text)
	}
	return h.Sum(nil)
}
