package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// binaries are the programs that a run builds.
type binaries struct {
	dir              string
	gateway, command string
}

// build builds the gateway and the command, unless GATEWAY_BINARY and COMMAND_BINARY name them. The caller calls remove
// when done.
func build(ctx context.Context) (*binaries, error) {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return nil, err
	}
	if gateway, command := os.Getenv("GATEWAY_BINARY"), os.Getenv("COMMAND_BINARY"); gateway != "" && command != "" {
		return &binaries{dir, gateway, command}, nil
	}
	b := &binaries{dir, filepath.Join(dir, "server"), filepath.Join(dir, "reversehttp")}
	cmd := exec.CommandContext(ctx, "go", "build", "-o", dir, "reversehttp/server", "reversehttp/sdk-go/cmd/reversehttp")
	if out, err := cmd.CombinedOutput(); err != nil {
		b.remove()
		return nil, fmt.Errorf("build gateway and command: %w: %s", err, bytes.TrimSpace(out))
	}
	return b, nil
}

func (b *binaries) remove() { _ = os.RemoveAll(b.dir) }

// testbed is a gateway and a proxy, with the handler behind both, until close.
type testbed struct {
	*binaries
	control string // the gateway's address
	gateway *process
	handler *process
	proxy   way   // the way that others are compared with
	ways    []way // the proxy, then each transport
	closing []func()
}

// open starts a testbed. If the handler is far, a relay is between it and the gateway, and between two proxies.
func (b *binaries) open(ctx context.Context, far bool, flags ...string) (t *testbed, err error) {
	t = &testbed{binaries: b}
	defer func() {
		if err != nil {
			t.close()
		}
	}()
	if t.gateway, t.control, err = b.startGateway(ctx, flags...); err != nil {
		return t, err
	}
	t.keep(t.gateway)
	var through []string
	if far {
		r, err := t.relay(t.control)
		if err != nil {
			return t, err
		}
		through = []string{r}
	}
	var byTransport []way
	if t.handler, byTransport, err = t.serve(ctx, 1, through...); err != nil {
		return t, err
	}
	if t.proxy, err = t.proxyTo(ctx, proxyWay, t.handler.said[0]); err != nil {
		return t, err
	}
	if far {
		if t.proxy, err = t.farProxies(ctx); err != nil {
			return t, err
		}
	}
	t.ways = append([]way{t.proxy}, byTransport...)
	return t, nil
}

func (t *testbed) keep(p *process) { t.closing = append(t.closing, p.stop) }

// close ends its processes, the newest first.
func (t *testbed) close() {
	for i := len(t.closing) - 1; i >= 0; i-- {
		t.closing[i]()
	}
	t.closing = nil
}

func (t *testbed) relay(to string) (string, error) {
	r, err := startRelay(to)
	if err != nil {
		return "", err
	}
	t.closing = append(t.closing, r.close)
	return r.address(), nil
}

// serve starts a handler with a number of sessions for each transport, and returns the ways to it through the gateway.
func (t *testbed) serve(ctx context.Context, sessions int, through ...string) (*process, []way, error) {
	args := append([]string{"http://" + t.control, strconv.Itoa(sessions)}, through...)
	p, err := again(ctx, roleHandler, args...)
	if err != nil {
		return nil, nil, err
	}
	t.keep(p)
	if len(p.said) != 1+len(transports) {
		return nil, nil, fmt.Errorf("the handler said %q", p.said)
	}
	p.metrics = "http://" + p.said[0] + "/metrics"
	var ways []way
	for i, transport := range transports {
		w, err := t.way(string(transport), p.said[1+i], p)
		if err != nil {
			return nil, nil, err
		}
		ways = append(ways, w)
	}
	return p, ways, nil
}

// way returns the way through the gateway to a public URL.
func (t *testbed) way(name, public string, program ...*process) (way, error) {
	at, err := url.Parse(public)
	if err == nil && at.Host == "" {
		err = fmt.Errorf("no public URL: %q", public)
	}
	if err != nil {
		return way{}, err
	}
	return way{name: name, address: t.control, host: at.Host, middle: []*process{t.gateway}, program: program}, nil
}

// proxyTo starts a proxy in front of an address, and returns the way through it.
func (t *testbed) proxyTo(ctx context.Context, name, to string) (way, error) {
	p, err := again(ctx, roleProxy, to)
	if err != nil {
		return way{}, err
	}
	t.keep(p)
	p.metrics = "http://" + p.said[0] + "/metrics"
	return way{name: name, address: p.said[0], host: p.said[0], middle: []*process{p}, program: []*process{t.handler}}, nil
}

// secondProxy starts a proxy in front of the first one, which has an address.
func (t *testbed) secondProxy(ctx context.Context, first string) (way, error) {
	w, err := t.proxyTo(ctx, proxiesWay, first)
	w.middle = append(w.middle, t.proxy.middle...)
	return w, err
}

// farProxies starts a proxy in front of the first one, with a relay between them.
func (t *testbed) farProxies(ctx context.Context) (way, error) {
	between, err := t.relay(t.proxy.address)
	if err != nil {
		return way{}, err
	}
	return t.secondProxy(ctx, between)
}

// forward starts reversehttp forward in front of the port of the handler.
func (t *testbed) forward(ctx context.Context) (way, error) {
	p, err := start(ctx, forwardWay, t.command, "forward", t.handler.said[0], "--gateway", "http://"+t.control, "--label", "bench-forward", "--json")
	if err != nil {
		return way{}, err
	}
	t.keep(p)
	var claimed struct {
		URL string `json:"url"`
	}
	if err := json.Unmarshal([]byte(strings.Join(p.said, " ")), &claimed); err != nil {
		return way{}, fmt.Errorf("forward said %q: %w", p.said, err)
	}
	return t.way(forwardWay, claimed.URL, p, t.handler)
}

// startGateway starts a gateway without bounds on rates, and returns the address of its control origin.
func (b *binaries) startGateway(ctx context.Context, flags ...string) (p *process, address string, err error) {
	args := append([]string{"--listen=127.0.0.1:0", "--log-level=warn", "--claims-per-second=-1", "--claims-per-address=-1"}, flags...)
	p, err = start(ctx, "gateway", b.gateway, args...)
	if err != nil {
		return nil, "", err
	}
	for _, word := range p.said {
		if rest, ok := strings.CutPrefix(word, "http://localhost:"); ok {
			address = "127.0.0.1:" + strings.TrimSuffix(rest, "/")
			p.metrics = "http://" + address + "/metrics"
			return p, address, nil
		}
	}
	p.stop()
	return nil, "", errors.New("start gateway: no address in " + strings.Join(p.said, " "))
}
