package process

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"reversehttp/schema"
	"reversehttp/server/acmetest"
)

// freePort returns a free port.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port
}

// startSealed starts a gateway whose certificates come from a CA, with a port for http: URLs.
func startSealed(t *testing.T, args ...string) (p *process, ca *acmetest.CA, httpPort int) {
	t.Helper()
	tlsPort, httpPort := freePort(t), freePort(t)
	ca = acmetest.NewCA(t, acmetest.NewDNS(t), httpPort, tlsPort)
	p = start(t, append([]string{
		"--listen=127.0.0.1:" + strconv.Itoa(tlsPort), "--http-listen=127.0.0.1:" + strconv.Itoa(httpPort),
		"--public-url=https://{label}.gateway.test:" + strconv.Itoa(tlsPort) + "/", "--acme-ca=" + ca.URL, "--acme-ca-root=" + ca.RootFile,
	}, args...)...)
	p.inTLS = true
	p.client.Transport.(*http.Transport).TLSClientConfig = &tls.Config{RootCAs: ca.Issued}
	return p, ca, httpPort
}

func TestCertificatesComeFromACA(t *testing.T) {
	data := t.TempDir()
	p, ca, _ := startSealed(t, "--data="+data)
	if !strings.Contains(p.first, "console: https://gateway.test:") {
		t.Errorf("first line = %q", p.first)
	}
	strange := strings.Replace(p.console, "://", "://strange.", 1)
	if resp, err := p.client.Get(strange); err == nil || !strings.Contains(err.Error(), "unrecognized name") {
		t.Errorf("an unclaimed label: %v %v, want that the handshake is refused", resp, err)
	}
	status, a := p.claim("token-of-sixteen-characters")
	if status != 201 || !strings.HasPrefix(a.URL, "https://demo.gateway.test:") {
		t.Fatalf("claim = %d %+v", status, a)
	}
	visit := p.begin("GET", a.URL, "")
	status, polled := p.send("GET", a.Requests, "token-of-sixteen-characters", nil)
	if status != 200 {
		t.Fatalf("poll = %d %s", status, polled)
	}
	if status, _ := p.send("POST", a.Responses, "token-of-sixteen-characters", map[string]any{"type": "response", "id": p.idIn(polled), "status": 200, "body": "sealed"}); status != 202 {
		t.Errorf("answer = %d", status)
	}
	if got := <-visit; got.status != 200 || string(got.content) != "sealed" {
		t.Errorf("visit = %d %s", got.status, got.content)
	}
	p.signals <- syscall.SIGHUP
	if c, err := tls.Dial("tcp", strings.TrimSuffix(strings.TrimPrefix(strings.Replace(p.console, "gateway.test", "127.0.0.1", 1), "https://"), "/"),
		&tls.Config{ServerName: "gateway.test", RootCAs: ca.Issued, NextProtos: []string{"h2"}}); err != nil || c.ConnectionState().NegotiatedProtocol != "h2" {
		t.Errorf("HTTP/2 in addition to the protocol of the CA: %v", err)
	} else {
		_ = c.Close()
	}
	p.signals <- syscall.SIGTERM
	p.ended()
	if files, _ := filepath.Glob(filepath.Join(data, "acme", "certificates", "*", "*", "*.key")); len(files) != 2 {
		t.Errorf("keys %v, want those of two names in --data", files)
	}
	if log := p.log.String(); strings.Contains(log, "token-of-sixteen") || !strings.Contains(log, "certificate obtained") {
		t.Errorf("log = %s", log)
	}
}

func TestHTTPIsRedirectedToHTTPS(t *testing.T) {
	p, _, httpPort := startSealed(t, "--acme-dir="+t.TempDir())
	public := strings.TrimSuffix(p.console, "/")
	port := public[strings.LastIndexByte(public, ':'):]
	if _, err := p.client.Get(p.console + "healthz"); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		method, target, host string
		status               int
		location             string
	}{
		{"GET", "/a%2Fb/../c%zz?q=%00&é=\"<", "demo.gateway.test", 308, "https://demo.gateway.test" + port + "/a%2Fb/../c%zz?q=%00&é=\"<"},
		{"POST", "//evil.example/", "GATEWAY.test:80", 308, public + "//evil.example/"},
		{"GET", "http://demo.gateway.test/x?y", "demo.gateway.test", 308, "https://demo.gateway.test" + port + "/x?y"},
		{"GET", "http://demo.gateway.test?y", "demo.gateway.test", 308, "https://demo.gateway.test" + port + "/?y"},
		{"GET", "/.well-known/acme-challenge/unknown", "gateway.test", 308, public + "/.well-known/acme-challenge/unknown"},
		{"GET", "/", "evil.example", 421, ""},
		{"GET", "/", "a.b.gateway.test", 421, ""},
		{"GET", "http://evil.example/", "gateway.test", 421, ""},
		{"OPTIONS", "*", "gateway.test", 400, ""},
		{"GET", "/.well-known/acme-challenge/unknown", "evil.example", 421, ""},
	} {
		conn, err := net.Dial("tcp", "127.0.0.1:"+strconv.Itoa(httpPort))
		if err != nil {
			t.Fatal(err)
		}
		_, _ = fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: %s\r\n\r\n", c.method, c.target, c.host)
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatalf("%+v: %v", c, err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = conn.Close()
		if got := resp.Header.Get("Location"); resp.StatusCode != c.status || got != c.location {
			t.Errorf("%s %s at %s = %d %q, want %d %q", c.method, c.target, c.host, resp.StatusCode, got, c.status, c.location)
		}
	}
	p.signals <- syscall.SIGTERM
	p.ended()
}

func TestHTTPIsRedirectedToHTTPSWithACertificateFromAFile(t *testing.T) {
	cert, key := certify(t, t.TempDir(), "localhost")
	httpPort := freePort(t)
	p := start(t, "--tls-cert="+cert, "--tls-key="+key, "--http-listen=127.0.0.1:"+strconv.Itoa(httpPort))
	p.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	resp, err := p.client.Get("http://localhost:" + strconv.Itoa(httpPort) + "/a?b")
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if got := resp.Header.Get("Location"); resp.StatusCode != 308 || got != p.console+"a?b" {
		t.Errorf("%d %q, want 308 %sa?b", resp.StatusCode, got, p.console)
	}
	p.signals <- syscall.SIGTERM
	p.ended()
}

func TestTheErrorForAFlagOfTheCAHasTheReason(t *testing.T) {
	cert, key := certify(t, t.TempDir(), "a")
	dir := t.TempDir()
	noKey := filepath.Join(dir, "key")
	if err := os.WriteFile(noKey, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	public := "--public-url=https://{label}.example.com/"
	for says, args := range map[string][]string{
		"not from both":                       {"--acme-email=a@example.com", "--tls-cert=" + cert, "--tls-key=" + key, "--data=" + dir, public},
		"--data or --acme-dir":                {"--acme-email=a@example.com", public},
		"domains of your own":                 {"--acme-email=a@example.com", "--data=" + dir},
		"begins with https":                   {"--acme-email=a@example.com", "--acme-dir=" + dir, "--public-url=http://{label}.example.com/"},
		"local names":                         {"--acme-email=a@example.com", "--acme-dir=" + dir, "--public-url=https://{label}.localhost/"},
		"give both, or neither":               {"--acme-email=a@example.com", "--acme-dir=" + dir, "--acme-dns=192.0.2.1", public},
		"tsig-keygen":                         {"--acme-email=a@example.com", "--acme-dir=" + dir, "--acme-dns=192.0.2.1", "--acme-dns-key=" + noKey, public},
		"URL of its directory":                {"--acme-ca=http://ca.example/", "--acme-dir=" + dir, public},
		"no certificate in PEM":               {"--acme-ca=https://ca.example/", "--acme-ca-root=" + noKey, "--acme-dir=" + dir, public},
		"no CA is set":                        {"--acme-dir=" + dir, public},
		"redirects http: URLs to https:":      {"--http-listen=127.0.0.1:0"},
		"--http-listen=80: give HOST:PORT":    {"--http-listen=80", "--tls-cert=" + cert, "--tls-key=" + key},
		"--acme-per-week=0":                   {"--acme-email=a@example.com", "--acme-dir=" + dir, "--acme-per-week=0", public},
		"--resolver=192.0.2.1: give HOST:POR": {"--resolver=192.0.2.1"},
	} {
		o, err := parse(append([]string{"--listen=127.0.0.1:0"}, args...))
		if err == nil {
			err = run(o, nil, io.Discard, io.Discard)
		}
		if err == nil || !strings.Contains(err.Error(), says) || exitCode(err) != 2 {
			t.Errorf("%v: %v, want an error that says %q", args, err, says)
		}
	}
}

// The claim proves by a DNS record that it controls the domain.
func TestADomainOfAClaimHasItsOwnCertificate(t *testing.T) {
	tlsPort := freePort(t)
	dns := acmetest.NewDNS(t)
	ca := acmetest.NewCA(t, dns, 1, tlsPort)
	args := []string{
		"--listen=127.0.0.1:" + strconv.Itoa(tlsPort), "--public-url=https://gateway.test:" + strconv.Itoa(tlsPort) + "/at/{label}/",
		"--acme-ca=" + ca.URL, "--acme-ca-root=" + ca.RootFile, "--data=" + t.TempDir(), "--resolver=" + dns.Address,
	}
	p := start(t, args...)
	trust := func() {
		p.inTLS = true
		p.client.Transport.(*http.Transport).TLSClientConfig = &tls.Config{RootCAs: ca.Issued}
	}
	trust()
	const token = "token-of-sixteen-characters"
	claim := func() (a schema.ClaimAnswer) {
		t.Helper()
		status, content := p.send("POST", p.console+"claims", "", map[string]string{"label": "demo", "token": token, "domain": "hooks.example.test"})
		if err := json.Unmarshal(content, &a); err != nil || status != 201 {
			t.Fatalf("claim = %d %s %v", status, content, err)
		}
		return a
	}
	a := claim()
	hooks := "https://hooks.example.test:" + strconv.Itoa(tlsPort) + "/"
	if _, err := p.client.Get(hooks); err == nil || !strings.Contains(err.Error(), "unrecognized name") {
		t.Errorf("without its record: %v", err)
	}
	dns.SetText(a.DomainRecord, "other", a.DomainValue)
	if status, _ := p.send("DELETE", a.Claim, token, nil); status != 204 {
		t.Fatalf("DELETE = %d", status)
	}
	b := claim() // so that the record is looked up at once
	if b.DomainValue != a.DomainValue {
		t.Errorf("the value is %q, and was %q", b.DomainValue, a.DomainValue)
	}
	leads := func() {
		t.Helper()
		for {
			status, content := p.send("GET", b.Claim, token, nil)
			if status != 200 {
				t.Fatalf("state = %d %s", status, content)
			}
			if strings.Contains(string(content), `"domainUrl":"`+hooks+`"`) {
				return
			}
		}
	}
	leads()
	visit := p.begin("GET", hooks+"a?b", "")
	status, polled := p.send("GET", b.Requests, token, nil)
	if id := p.idIn(polled); status != 200 || !strings.Contains(string(polled), `"url":"`+hooks+`a?b"`) {
		t.Errorf("poll = %d %s", status, polled)
	} else if status, _ := p.send("POST", b.Responses, token, map[string]any{"type": "response", "id": id, "status": 200, "body": "own"}); status != 202 {
		t.Errorf("answer = %d", status)
	}
	if got := <-visit; got.status != 200 || string(got.content) != "own" {
		t.Errorf("visit = %d %s", got.status, got.content)
	}
	p.signals <- syscall.SIGTERM
	p.ended()
	p = start(t, args...) // the stored claim has the same record
	trust()
	leads()
	p.signals <- syscall.SIGTERM
	p.ended()
}

func TestEachDomainLeadsToALabel(t *testing.T) {
	for given, says := range map[string]string{
		"hooks.example.org": "give a domain and the label", "=demo": "give a domain", "a.org=-": "give a domain", "192.0.2.1=demo": "give a domain", "a.org=x,A.ORG=y": "for x already",
	} {
		if _, err := parseDomains(strings.Split(given, ",")); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want %q", given, err, says)
		}
	}
	if got, err := parseDomains([]string{"Hooks.example.org=demo", "b.org=b"}); err != nil || got["hooks.example.org"] != "demo" || got["b.org"] != "b" {
		t.Errorf("domains %v %v", got, err)
	}
}
