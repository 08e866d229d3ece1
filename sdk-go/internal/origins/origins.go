// Package origins says which URLs of a gateway are asked. A program sends its token to them, and hands on what they answer: a gateway
// that could name any URL would read the network of whoever runs the program. So they are on the origin of the URL that names the
// gateway, or on that of its discovery document, and redirects from there are not followed.
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

// Gateway is a gateway by its origins. [Parse] makes one.
type Gateway struct {
	// Discovery is where its discovery document is. A redirect may change that while the document is asked for.
	Discovery *url.URL
	named     *url.URL
}

// Parse takes the URL that names a gateway.
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

// Finding returns a client like by that asks for the discovery document: without any secret, so redirects are followed, but to
// another such document only.
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

// Asking returns a client like by for everything else, which shows secrets: it follows no redirects.
func Asking(by *http.Client) *http.Client {
	c := *by
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &c
}

// Redirect says where an answer redirects to, which was not followed. It is empty for any other answer.
func Redirect(status int, header http.Header) string {
	to, err := url.Parse(header.Get("Location"))
	if status < 300 || status > 399 || err != nil || to.Host == "" {
		return ""
	}
	return fmt.Sprintf("a redirect to %s was not followed", shown(to))
}

// Resolve returns a URL that the gateway gives as a member of an answer. It may be relative to the discovery document. On another
// origin it is an error.
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

// Check reports an error for one of several URLs that is on another origin, by their members; those that are empty are not there.
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

// of returns the origin of a URL: that of a WebSocket is the one that its handshake is sent to. The names of this machine for itself
// are one, for a gateway here is asked by any of them.
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
