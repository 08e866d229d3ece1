package kit

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"reversehttp/schema"
	"reversehttp/schema/vectors"
	"reversehttp/schema/vectors/play"
)

// target is the gateway under test, or the one through which a client is tested.
type target struct {
	origin string
	key    string
	settle time.Duration // see clock
	schema.Discovery
}

// mostDiscovery bounds the discovery document, in bytes.
const mostDiscovery = 1 << 20

// discover reads a gateway's discovery document, and reports whether the gateway can be tested.
func discover(ctx context.Context, at, key string) (*target, error) {
	u, err := url.Parse(at)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("%q is not the URL of a gateway, such as http://localhost:8080", at)
	}
	t := &target{origin: u.Scheme + "://" + u.Host, key: key}
	ctx, cancel := context.WithTimeout(ctx, settleMost)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, t.origin+"/.well-known/reversehttp", nil)
	if err != nil {
		return nil, err
	}
	client := &http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("the gateway does not answer: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	content, err := io.ReadAll(io.LimitReader(resp.Body, mostDiscovery))
	if err != nil {
		return nil, fmt.Errorf("the gateway does not answer: %w", err)
	}
	if resp.StatusCode != http.StatusOK || json.Unmarshal(content, &t.Discovery) != nil {
		return nil, fmt.Errorf("%s is not a gateway: it answers discovery with %s", t.origin, resp.Status)
	}
	if !strings.HasPrefix(t.URLTemplate, u.Scheme+"://{label}.") {
		return nil, fmt.Errorf("the public URLs of the gateway are %s; the vectors need a host for each label, of the same scheme", t.URLTemplate)
	}
	if t.KeyNeeded && key == "" {
		return nil, errors.New("the gateway needs a key for claiming: give --key")
	}
	return t, nil
}

// settleMost bounds how long a gateway may take for an answer that need not wait.
const settleMost = 30 * time.Second

// dial connects to this machine for names below localhost, which not every system resolves.
func dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err == nil && (host == "localhost" || strings.HasSuffix(host, ".localhost")) {
		if conn, err := new(net.Dialer).DialContext(ctx, network, net.JoinHostPort("127.0.0.1", port)); err == nil {
			return conn, nil
		}
		address = net.JoinHostPort("::1", port)
	}
	return new(net.Dialer).DialContext(ctx, network, address)
}

// site returns the gateway for cases that claim their own label.
func (t *target) site(label string) *play.Site {
	s := &play.Site{
		Origin:    t.origin,
		PublicURL: func(label string) string { return strings.ReplaceAll(t.URLTemplate, "{label}", label) },
		Dial:      dial,
		Visitor:   t.visitor(),
		Label:     label,
		Token:     rand.Text(),
		Key:       t.key,
	}
	c := &clock{base: time.Now(), settle: t.settle}
	s.Settle, s.Sleep = c.wait, c.sleep
	return s
}

// visitor returns the address at which the gateway sees this machine, as far as it can be known.
func (t *target) visitor() string {
	u, err := url.Parse(t.origin)
	if err != nil {
		return ""
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	ctx, cancel := context.WithTimeout(context.Background(), settleMost)
	defer cancel()
	conn, err := dial(ctx, "tcp", net.JoinHostPort(u.Hostname(), port))
	if err != nil {
		return ""
	}
	defer func() { _ = conn.Close() }()
	host, _, _ := net.SplitHostPort(conn.LocalAddr().String())
	return host
}

// labels returns a function that returns labels for this run, which repeat after 360. They are as long as
// demo, so that lengths in the cases stay right, and contain a digit, so that none is reserved.
func labels() func() string {
	const digits = "0123456789abcdefghijklmnopqrstuvwxyz"
	prefix, n := strings.ToLower(rand.Text()[:2]), -1
	return func() string {
		n++
		return prefix + string([]byte{digits[n/36%10], digits[n%36]})
	}
}

// judgeGateway plays all cases that can be played against a gateway as configured.
func (r *report) judgeGateway(ctx context.Context, t *target, longest time.Duration) error {
	own := labels()
	for _, way := range play.Ways(t.Transports) {
		var exchanges, faults []played
		for _, c := range vectors.Exchanges() {
			l := own()
			p := played{name: c.File + "/" + c.Name, play: func(ctx context.Context) error { return t.site(l).Exchange(ctx, c, way) }}
			if !c.In("gateway") {
				p.skipped = "the case is not for gateways"
			}
			exchanges = append(exchanges, p)
		}
		for _, c := range vectors.Invalid() {
			l := own()
			p := played{name: "invalid/" + c.Name, play: func(ctx context.Context) error { return t.site(l).Fault(ctx, c, way) }}
			if !way.Fits(c) {
				p.skipped = "a link cannot carry the message"
			}
			faults = append(faults, p)
		}
		r.play(ctx, "exchanges, "+way.String(), exchanges)
		r.play(ctx, "faults, "+way.String(), faults)
	}
	var names []string
	conversations, err := vectors.ConversationsAs(func(_ int, text []byte) []byte {
		names = append(names, own())
		return anyTimes(t.rename(text, names[len(names)-1]))
	})
	if err != nil {
		return err
	}
	var talks []played
	for i, c := range conversations {
		patient(c)
		p := played{name: "conversation/" + c.Name, skipped: t.skips(c)}
		for _, s := range c.Steps {
			p.passes += time.Duration(s.SleepMs) * time.Millisecond
		}
		if p.skipped == "" && p.passes > longest {
			p.skipped = fmt.Sprintf("it takes longer than %s; --longest 2m plays it", longest)
		}
		p.play = func(ctx context.Context) error {
			err := t.site(names[i]).Converse(ctx, c)
			if err == nil {
				return nil
			}
			// The gateway or this machine may be slow, so try again with longer waits.
			slower := *t
			slower.settle *= slowly
			return slower.site(names[i]).Converse(ctx, c)
		}
		p.passes *= 2
		talks = append(talks, p)
	}
	r.play(ctx, "conversations", talks)
	return nil
}

// slowly is by how much waits are longer in the second try of a conversation.
const slowly = 10

// demo matches the label in all conversations.
var demo = regexp.MustCompile(`\bdemo\b`)

// rename returns a conversation with another label, on this gateway.
func (t *target) rename(text []byte, label string) []byte {
	text = bytes.ReplaceAll(text, []byte("http://localhost:8080"), []byte(t.origin))
	host := strings.TrimSuffix(strings.SplitN(t.URLTemplate, "{label}", 2)[1], "/")
	text = bytes.ReplaceAll(text, []byte(".localhost:8080"), []byte(host))
	return demo.ReplaceAll(text, []byte(label))
}

// skips returns why a conversation cannot be played against a gateway as configured; empty if it can.
func (t *target) skips(c vectors.Conversation) string {
	if c.Set() {
		return "it needs a gateway with settings other than the defaults"
	}
	for _, s := range c.Steps {
		switch {
		case s.Drain:
			return "it stops the gateway"
		case s.Visit != nil && s.Visit.Holds:
			return "its visitor stops reading, which the buffers of the system would hide"
		}
	}
	text, err := json.Marshal(c.Steps)
	if err == nil && documented.Match(text) {
		return "its visitor has an address that no machine has (RFC 5737)"
	}
	if err == nil && bytes.Contains(text, []byte("/replay")) && bytes.Contains(text, []byte("rate_limited")) {
		return "its requests must arrive within the same second"
	}
	if err == nil && bytes.Contains(text, []byte("webhook-timestamp")) {
		return "its signatures are from the year 2000, where the clock of the vectors begins"
	}
	if !t.local() {
		return "it uses short tokens, which only a local gateway accepts"
	}
	return ""
}

// documented matches addresses for documentation (RFC 5737).
var documented = regexp.MustCompile(`203\.0\.113\.|198\.51\.100\.`)

// local reports whether the gateway is local, as defined in schema/README.md, 2.
func (t *target) local() bool {
	u, err := url.Parse(strings.ReplaceAll(t.URLTemplate, "{label}", "demo"))
	return err == nil && strings.HasSuffix(u.Hostname(), ".localhost")
}
