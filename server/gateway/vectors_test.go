package gateway

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"reversehttp/schema/vectors"
	"reversehttp/schema/vectors/play"
	"reversehttp/server/account"
	"reversehttp/server/claim"
	"reversehttp/server/problem"
	"reversehttp/server/quota"
)

var ways = []play.Way{{}, {Form: "framed"}, {Link: true}, {Form: "framed", Link: true}}

// site returns the gateway of a world, whose time is fake.
func (w *world) site() *play.Site {
	return &play.Site{
		Origin:    w.origin(),
		PublicURL: func(label string) string { return "http://" + w.gateway.public.Authority(label) + "/" },
		Dial:      func(context.Context, string, string) (net.Conn, error) { return w.network.dial(visitorAddr) },
		Visitor:   visitorIP,
		Label:     "demo",
		Token:     "t0",
		Settle:    synctest.Wait,
		Sleep:     time.Sleep,
		Drain:     func() { go w.gateway.Drain(context.Background()) },
	}
}

// worlds runs a test with a gateway in a bubble.
type worlds func(t *testing.T, o Options, test func(w *world))

func TestVectorsOfExchanges(t *testing.T) { playVectorsOfExchanges(t, inWorld) }

func playVectorsOfExchanges(t *testing.T, in worlds) {
	t.Helper()
	for _, c := range vectors.Exchanges() {
		if !c.In("gateway") {
			continue
		}
		for _, way := range ways {
			t.Run(c.Name+", "+way.String(), func(t *testing.T) {
				in(t, Options{}, func(w *world) {
					if err := w.site().Exchange(w.t.Context(), c, way); err != nil {
						t.Error(err)
					}
				})
			})
		}
	}
}

func TestVectorsOfFaults(t *testing.T) { playVectorsOfFaults(t, inWorld) }

func playVectorsOfFaults(t *testing.T, in worlds) {
	t.Helper()
	for _, c := range vectors.Invalid() {
		for _, way := range ways {
			if !way.Fits(c) {
				continue
			}
			t.Run(c.Name+", "+way.String(), func(t *testing.T) {
				in(t, Options{}, func(w *world) {
					if err := w.site().Fault(w.t.Context(), c, way); err != nil {
						t.Error(err)
					}
				})
			})
		}
	}
}

func TestVectorsOfConversations(t *testing.T) { playVectorsOfConversations(t, inWorld, nil) }

// playVectorsOfConversations plays all conversations except the named ones.
func playVectorsOfConversations(t *testing.T, in worlds, but map[string]bool) {
	t.Helper()
	for _, c := range vectors.Conversations() {
		if but[c.Name] {
			continue
		}
		t.Run(c.Name, func(t *testing.T) {
			o := Options{
				PublicURL: c.Gateway.PublicURL, Keys: c.Gateway.Keys, AnswerBytes: c.Gateway.AnswerBytes, ContentBytes: c.Gateway.ContentBytes, Loopback: !c.Gateway.Reachable,
				LinkWindow: c.Gateway.LinkWindow, AllowOrigins: c.Gateway.AllowOrigins,
				Limits: claim.Limits{Queue: c.Gateway.Queue, Sessions: c.Gateway.Sessions, Batch: c.Gateway.Batch},
			}
			if c.Gateway.Guide {
				o.Pages = map[string]http.Handler{problem.GuidePath: http.NotFoundHandler()}
			}
			if c.Gateway.Accounts != nil {
				a, err := account.Parse(c.Gateway.Accounts)
				if err != nil {
					t.Fatal(err)
				}
				o.Accounts = account.Of(a)
			}
			for of, into := range map[string]**quota.Limits{"address": &o.Quotas.Address, "label": &o.Quotas.Label} {
				if text := c.Gateway.Quotas[of]; text != nil {
					*into = new(quota.Limits)
					if err := json.Unmarshal(text, *into); err != nil {
						t.Fatal(err)
					}
				}
			}
			for _, prefix := range c.Gateway.TrustedProxies {
				o.TrustedProxies = append(o.TrustedProxies, netip.MustParsePrefix(prefix))
			}
			in(t, o, func(w *world) {
				if err := w.site().Converse(w.t.Context(), c); err != nil {
					t.Error(err)
				}
			})
		})
	}
}
