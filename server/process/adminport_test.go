package process

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// adminAddress returns the operator's address of a process, from its log.
func (p *process) adminAddress() string {
	p.t.Helper()
	m := regexp.MustCompile(`admin_listen=(\S+)`).FindStringSubmatch(p.log.String())
	if m == nil {
		p.t.Fatalf("the log names no admin address: %s", p.log)
	}
	return m[1]
}

// listens returns the address of the port, which is in the log after the first line.
func (p *process) listens() string {
	p.t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); runtime.Gosched() {
		if m := regexp.MustCompile(`msg=serving listen=(\S+)`).FindStringSubmatch(p.log.String()); m != nil {
			return m[1]
		}
	}
	p.t.Fatalf("the log names no address: %s", p.log)
	return ""
}

// askAt sends a request to the gateway's port with a host that no resolver knows.
func (p *process) askAt(host, target string, fields ...string) (status int, content string) {
	p.t.Helper()
	req, err := http.NewRequest("GET", "http://"+p.listens()+target, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	req.Host = host
	for i := 0; i < len(fields); i += 2 {
		req.Header.Set(fields[i], fields[i+1])
	}
	resp, err := p.client.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	all, err := io.ReadAll(resp.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return resp.StatusCode, string(all)
}

// public are flags of a gateway that is not local, behind a proxy.
var public = []string{"--public-url=http://{label}.gateway.example/", "--trusted-proxies=127.0.0.2"}

func TestTheOperatorHasAnAddressOfTheirOwn(t *testing.T) {
	p := start(t, append(public, "--admin-listen=127.0.0.1:0")...)
	at := p.adminAddress()
	if status, content := p.send("GET", "http://"+at+"/metrics", "", nil); status != 200 || !strings.Contains(string(content), "reversehttp_claims 0\n") {
		t.Errorf("/metrics at the admin address = %d %.100s", status, content)
	}
	if status, content := p.send("GET", "http://"+at+"/debug/pprof/goroutine?debug=1", "", nil); status != 200 || !strings.Contains(string(content), "goroutine profile") {
		t.Errorf("/debug/pprof/goroutine at the admin address = %d %.100s", status, content)
	}
	for _, target := range []string{"metrics", "debug/pprof/", "debug/pprof/heap"} {
		if status, content := p.askAt("gateway.example", "/"+target); status != 404 || strings.Contains(content, "reversehttp_") {
			t.Errorf("/%s at the public port = %d %.100s, want 404", target, status, content)
		}
	}
	p.signals <- syscall.SIGTERM
	p.ended()
	if c, err := net.Dial("tcp", at); err == nil {
		_ = c.Close()
		t.Error("the admin address is open after the end")
	}
}

func TestALocalGatewayHasMetricsAtBothAddresses(t *testing.T) {
	p := start(t, "--admin-listen=127.0.0.1:0")
	for _, at := range []string{p.console, "http://" + p.adminAddress() + "/"} {
		if status, _ := p.send("GET", at+"metrics", "", nil); status != 200 {
			t.Errorf("%smetrics = %d, want 200", at, status)
		}
	}
}

func TestTheOperatorsSocketIsForOneUser(t *testing.T) {
	path := filepath.Join(t.TempDir(), "admin.sock")
	left, err := net.Listen("unix", path) // left by a process that was killed
	if err != nil {
		t.Fatal(err)
	}
	left.(*net.UnixListener).SetUnlinkOnClose(false)
	_ = left.Close()
	p := start(t, append(public, "--admin-listen=unix:"+path)...)
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("the socket has %v, %v; want 0600", info.Mode(), err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(context.Context, string, string) (net.Conn, error) { return net.Dial("unix", path) }}}
	resp, err := client.Get("http://localhost/metrics")
	if err != nil {
		t.Fatal(err)
	}
	content, _ := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if resp.StatusCode != 200 || !strings.Contains(string(content), "reversehttp_claims") {
		t.Errorf("/metrics = %d %.100s", resp.StatusCode, content)
	}
	if got := p.adminAddress(); got != "unix:"+path {
		t.Errorf("the log says that it is %s", got)
	}
	o, err := parse([]string{"--listen=127.0.0.1:0", "--admin-listen=unix:" + path})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := o.openAdmin(); err == nil || !strings.Contains(err.Error(), "another process listens there") {
		t.Errorf("a second gateway: %v, want the error that the socket is in use", err)
	}
	p.signals <- syscall.SIGTERM
	p.ended()
	if _, err := os.Stat(path); err == nil {
		t.Error("the socket exists after the end")
	}
}

func TestAnAdminAddressThatOthersReachNeedsAKey(t *testing.T) {
	file := func(content string) string {
		path := filepath.Join(t.TempDir(), "key")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for args, says := range map[string]string{
		"--admin-listen=0.0.0.0:0": "others can reach this address; set --admin-key-file", "--admin-listen=[::]:0": "others can reach this address",
		"--admin-listen=nonsense": "give an address such as 127.0.0.1:9090", "--admin-listen=127.0.0.1:0 --admin-key-file=/nope": "/nope",
		"--admin-listen=127.0.0.1:0 --admin-key-file=" + file("short"): "one key of 16 to 256", "--admin-listen=127.0.0.1:0 --admin-key-file=" + file("two words that are long"): "one key of",
		"--admin-listen=unix:/dev/null": "is not a socket", "--admin-listen=0.0.0.0:0 --admin-key-file=" + file(" k-0123456789abcdef\n"): "",
		"--admin-key-file=" + file("k-0123456789abcdef"): "--admin-key-file: set --admin-listen as well",
	} {
		o, err := parse(append([]string{"--listen=127.0.0.1:0"}, strings.Fields(args)...))
		var a *adminPort
		if err == nil {
			a, err = o.openAdmin()
		}
		if says == "" && (err != nil || a.key != "k-0123456789abcdef") || says != "" && (err == nil || !strings.Contains(err.Error(), says)) || err != nil && strings.Contains(err.Error(), "0123456789") {
			t.Errorf("%s: %v, want %q", args, err, says)
		}
		if a != nil {
			a.close()
		}
	}
}

// lines returns the lines of a file.
func lines(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func TestTheAuditLogIsReopenedOnSIGHUP(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	p := start(t, "--audit-log="+path, "--admin-listen=127.0.0.1:0")
	_, a := p.claim("t0")
	for !strings.Contains(lines(t, path), `"claim_made"`) {
	}
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	p.signals <- syscall.SIGHUP
	for _, err := os.Stat(path); err != nil; _, err = os.Stat(path) {
	}
	if status, _ := p.send("DELETE", a.Claim, "t0", nil); status != 204 {
		t.Fatalf("delete = %d", status)
	}
	if status, _ := p.send("GET", "http://"+p.adminAddress()+"/debug/pprof/", "", nil); status != 200 {
		t.Fatalf("profiles = %d", status)
	}
	p.signals <- syscall.SIGTERM
	p.ended()
	for file, want := range map[string][]string{
		path + ".1": {`"event":"claim_made","label":"demo","address":"127.0.0.1"`},
		path:        {`"event":"claim_released","label":"demo","address":"127.0.0.1"`, `"event":"admin_call","address":"127.0.0.1","method":"GET","path":"/debug/pprof/","status":200`},
	} {
		text := lines(t, file)
		if strings.Count(text, "\n") != len(want) {
			t.Errorf("%s has %s", file, text)
		}
		for _, w := range want {
			if !strings.Contains(text, w) {
				t.Errorf("%s has %s, want %s", file, text, w)
			}
		}
	}
}

func TestTrafficContinuesWhenTheDiskOfTheAuditLogIsFull(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Fatal("this machine has no /dev/full, which refuses all writes; run this test on Linux")
	}
	p := start(t, "--audit-log=/dev/full")
	for range 3 {
		status, a := p.claim("t0")
		if status != 201 {
			t.Fatalf("claim = %d, want 201", status)
		}
		if status, _ := p.send("DELETE", a.Claim, "t0", nil); status != 204 {
			t.Fatalf("delete = %d, want 204", status)
		}
	}
	for figures := ""; !strings.Contains(figures, "reversehttp_audit_lost_total 6\n"); {
		_, content := p.send("GET", p.console+"metrics", "", nil)
		figures = string(content)
	}
	if log := p.log.String(); strings.Count(log, "the audit log cannot be written") != 1 {
		t.Errorf("the log says %s, want it once", log)
	}
}

func TestTheReadmeNamesEveryEventOfTheAuditLog(t *testing.T) {
	readme, n := lines(t, "../README.md"), 0
	for _, m := range regexp.MustCompile(`(?m)^\t[A-Z]\w+ += "([a-z_]+)"`).FindAllStringSubmatch(lines(t, "../audit/audit.go"), -1) {
		if n++; !strings.Contains(readme, "| `"+m[1]+"` |") {
			t.Errorf("README.md does not mention %s", m[1])
		}
	}
	if n < 8 {
		t.Errorf("%d events", n)
	}
}
