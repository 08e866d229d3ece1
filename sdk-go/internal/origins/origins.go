// Package origins decides which URLs a program requests for a gateway. Requests carry its token, and it passes on their answers: a
// gateway that could name any URL could read the network of the program. So URLs must have the origin of the URL that names the
// gateway, or of its discovery document, and redirects from there are not followed.
package origins

import (
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

const (
	discovery     = "/.well-known/reversehttp"
	redirectsMost = 5
)

// Gateway has the origins of a gateway. [Parse] returns one.
type Gateway struct {
	// Discovery is the URL of its discovery document. A redirect may change it while the document is fetched.
	Discovery *url.URL
	named     *url.URL
}

// Parse parses the URL that names a gateway.
func Parse(gateway string) (*Gateway, error) {
	at, err := url.Parse(gateway)
	if err != nil {
		return nil, err
	}
	if at.Scheme != "http" && at.Scheme != "https" || at.Host == "" {
		return nil, fmt.Errorf("%q is no http or https URL", gateway)
	}
	return &Gateway{at.ResolveReference(&url.URL{Path: discovery}), at}, nil
}

// Finding returns a client like by for fetching the discovery document. That needs no secret, so the client follows redirects, but
// only to another such document.
func (g *Gateway) Finding(by *http.Client) *http.Client {
	c := *by
	c.CheckRedirect = func(to *http.Request, via []*http.Request) error {
		if len(via) > redirectsMost || to.URL.Path != discovery {
			return http.ErrUseLastResponse
		}
		if by.CheckRedirect != nil {
			if err := by.CheckRedirect(to, via); err != nil {
				return err
			}
		}
		g.Discovery = to.URL
		return nil
	}
	return &c
}

// Asking returns a client like by for all other requests. They carry secrets, so the client follows no redirects.
func Asking(by *http.Client) *http.Client {
	c := *by
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &c
}

// Redirect returns a text about a redirect that was not followed. It is empty for any other answer.
func Redirect(status int, header http.Header) string {
	to, err := url.Parse(header.Get("Location"))
	if status < 300 || status > 399 || err != nil || to.Host == "" {
		return ""
	}
	return fmt.Sprintf("a redirect to %s was not followed", shown(to))
}

// Resolve returns the URL in a member of an answer, which may be relative to the discovery document. It returns an error if the URL
// is on another origin.
func (g *Gateway) Resolve(member, given string) (string, error) {
	at, err := g.Discovery.Parse(given)
	if err != nil {
		return "", err
	}
	if origin := of(at); origin != of(g.named) && origin != of(g.Discovery) {
		return "", fmt.Errorf("the gateway gives a URL of %s as %q, and only those of %s are asked", shown(at), member, shown(g.Discovery))
	}
	return at.String(), nil
}

// Check returns an error if one of several URLs, listed by their members, is on another origin. It skips empty URLs.
func (g *Gateway) Check(given map[string]string) error {
	for _, member := range slices.Sorted(maps.Keys(given)) {
		if given[member] == "" {
			continue
		}
		if _, err := g.Resolve(member, given[member]); err != nil {
			return err
		}
	}
	return nil
}

func shown(u *url.URL) string { return u.Scheme + "://" + u.Host }

// of returns the origin of a URL. The origin of a WebSocket is that of its handshake. All names of this machine for itself count as
// one, because a local gateway can be reached by any of them.
func of(u *url.URL) string {
	scheme := map[string]string{"ws": "http", "wss": "https"}[u.Scheme]
	if scheme == "" {
		scheme = u.Scheme
	}
	host, port := strings.ToLower(strings.TrimSuffix(u.Hostname(), ".")), u.Port()
	if ip, err := netip.ParseAddr(host); err == nil && ip.Unmap().IsLoopback() {
		host = "localhost"
	}
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[scheme]
	}
	return scheme + "://" + net.JoinHostPort(host, port)
}
