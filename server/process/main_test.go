package process

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.etcd.io/bbolt"
	"go.uber.org/goleak"

	"reversehttp/schema"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"),
		// certmagic keeps a goroutine for each account of a CA, and one for each lock, which ends within 5 s. The CA of the
		// tests keeps one.
		goleak.IgnoreAnyFunction("github.com/caddyserver/certmagic.(*RingBufferRateLimiter).loop"),
		goleak.IgnoreAnyFunction("github.com/caddyserver/certmagic.keepLockfileFresh"),
		goleak.IgnoreAnyFunction("github.com/letsencrypt/pebble/v2/va.VAImpl.processTasks"),
	)
}

// process is a running gateway on its own port.
type process struct {
	t       *testing.T
	signals chan os.Signal
	done    chan error
	console string
	inTLS   bool
	first   string // line of its output
	client  *http.Client
	log     *lockedBuffer
}

type lockedBuffer struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// patience bounds how long a test waits for anything: far longer than it takes on a busy machine.
const patience = 10 * time.Minute

// patient are flags with times so long that no test reaches their end.
var patient = []string{
	"--listen=127.0.0.1:0", "--acknowledge=10m", "--no-poller=10m", "--answer=10m", "--part=10m", "--lease=10m", "--unpolled=10m",
	"--field-time=10m", "--content-grace=10m",
}

// start runs a gateway with arguments until the test ends. The gateway waits for its peers without
// a bound.
func start(t *testing.T, args ...string) *process {
	t.Helper()
	return startHasty(t, patience, args...)
}

// startHasty is like start, with a bound on the last writes to peers.
func startHasty(t *testing.T, lastWrites time.Duration, args ...string) *process {
	t.Helper()
	o, err := parse(append(slices.Clone(patient), args...))
	if err != nil {
		t.Fatal(err)
	}
	o.lastWrites, o.lastRequests = lastWrites, lastWrites
	p := &process{
		t: t, signals: make(chan os.Signal, 2), done: make(chan error, 1), log: &lockedBuffer{},
		client: &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true, DialContext: dialLoopback, TLSClientConfig: unverified}},
	}
	out, in := io.Pipe()
	go func() {
		p.done <- run(o, p.signals, in, p.log)
		_ = in.Close()
	}()
	t.Cleanup(func() {
		p.signals <- syscall.SIGTERM
		p.signals <- syscall.SIGTERM
		_, _ = io.Copy(io.Discard, out)
	})
	lines := bufio.NewReader(out)
	if p.first, err = lines.ReadString('\n'); err != nil {
		t.Fatalf("no first line: %v, log %s", err, p.log)
	}
	p.inTLS = slices.ContainsFunc(args, func(arg string) bool { return strings.HasPrefix(arg, "--tls-cert") })
	p.console = regexp.MustCompile(`console: (\S+)`).FindStringSubmatch(p.first)[1]
	return p
}

// unverified accepts any certificate.
var unverified = &tls.Config{InsecureSkipVerify: true}

// inBoth runs a test in the clear and over TLS, with the arguments for that.
func inBoth(t *testing.T, test func(t *testing.T, args ...string)) {
	t.Helper()
	t.Parallel() // it mostly waits
	t.Run("in the clear", func(t *testing.T) {
		t.Parallel()
		test(t)
	})
	t.Run("over TLS", func(t *testing.T) {
		t.Parallel()
		cert, key := certify(t, t.TempDir(), "localhost")
		test(t, "--tls-cert="+cert, "--tls-key="+key)
	})
}

// dialLoopback connects to a port of this machine for any host, since not every resolver knows
// *.localhost.
func dialLoopback(ctx context.Context, network, addr string) (net.Conn, error) {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	return (&net.Dialer{}).DialContext(ctx, network, net.JoinHostPort("127.0.0.1", port))
}

// ended waits for the end of the gateway.
func (p *process) ended() {
	p.t.Helper()
	select {
	case err := <-p.done:
		if err != nil {
			p.t.Fatalf("run: %v", err)
		}
	case <-time.After(patience):
		p.t.Fatal("the gateway does not end")
	}
}

// send sends a request and returns the status and content.
func (p *process) send(method, url, token string, v any) (int, []byte) {
	p.t.Helper()
	body, err := json.Marshal(v)
	if err != nil {
		p.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(p.t.Context(), method, url, bytes.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := p.client.Do(req)
	if err != nil {
		p.t.Errorf("%s %s: %v", method, url, err)
		return 0, nil
	}
	defer func() { _ = resp.Body.Close() }()
	content, err := io.ReadAll(resp.Body)
	if err != nil {
		p.t.Errorf("%s %s: %v", method, url, err)
	}
	return resp.StatusCode, content
}

// claim claims demo and returns the answer.
func (p *process) claim(token string) (status int, a schema.ClaimAnswer) {
	p.t.Helper()
	status, content := p.send("POST", p.console+"claims", "", map[string]string{"label": "demo", "token": token})
	if status < 300 {
		if err := json.Unmarshal(content, &a); err != nil {
			p.t.Fatal(err)
		}
	}
	return status, a
}

// answer is the result of a request on its own goroutine.
type answer struct {
	status  int
	content []byte
}

func (p *process) begin(method, url, token string) <-chan answer {
	done := make(chan answer, 1)
	go func() {
		status, content := p.send(method, url, token, nil)
		done <- answer{status, content}
	}()
	return done
}

// delivered begins a visit, and returns the exchange that a poll gets and the visit.
func (p *process) delivered(a schema.ClaimAnswer) (id string, visit <-chan answer) {
	p.t.Helper()
	visit = p.begin("GET", a.URL, "")
	_, content := p.send("GET", a.Requests, "t0", nil)
	return p.idIn(content), visit
}

// idIn returns the id of the exchange in a batch of one.
func (p *process) idIn(content []byte) string {
	p.t.Helper()
	var batch struct{ Messages []schema.Request }
	if err := json.Unmarshal(content, &batch); err != nil || len(batch.Messages) != 1 {
		p.t.Fatalf("poll: %s %v", content, err)
	}
	return batch.Messages[0].ID
}

func TestTheFirstLineHasTheURLs(t *testing.T) {
	p := start(t)
	if !regexp.MustCompile(`^ReverseHttp console: http://localhost:\d+/  public URLs: http://\{label\}\.localhost:\d+/\n$`).MatchString(p.first) {
		t.Errorf("first line = %q", p.first)
	}
	status, content := p.send("GET", p.console, "", nil)
	if status != 200 || !strings.Contains(string(content), "<html") {
		t.Errorf("console = %d %.80s, want a page", status, content)
	}
	p.signals <- syscall.SIGTERM
	p.ended()
	if log := p.log.String(); !strings.Contains(log, "stopping") || !strings.Contains(log, "msg=stopped") {
		t.Errorf("log = %s, want its end", log)
	}
}

func TestRunningExchangesAreAnsweredAfterASignal(t *testing.T) {
	inBoth(t, func(t *testing.T, args ...string) {
		p := start(t, args...)
		_, a := p.claim("t0")
		id, visit := p.delivered(a)
		poll := p.begin("GET", a.Requests, "t0")
		p.parked(a)
		p.signals <- syscall.SIGTERM
		p.notReady()
		next := p.begin("GET", a.URL, "")
		if got := <-poll; got.status != 200 {
			t.Fatalf("poll = %d %s, want the visitor who came meanwhile", got.status, got.content)
		} else if status, content := p.send("POST", a.Responses, "t0", map[string]any{"type": "response", "id": p.idIn(got.content), "status": 204}); status != 202 {
			t.Errorf("answer = %d %s, want 202", status, content)
		}
		if got := <-next; got.status != 204 {
			t.Errorf("visit = %d %s, want 204", got.status, got.content)
		}
		poll = p.begin("GET", a.Requests, "t0")
		p.parked(a)
		if status, content := p.send("POST", a.Responses, "t0", map[string]any{"type": "response", "id": id, "status": 200, "body": "late but there"}); status != 202 {
			t.Errorf("answer = %d %s, want 202", status, content)
		}
		if got := <-visit; got.status != 200 || string(got.content) != "late but there" {
			t.Errorf("visit = %d %s, want the answer", got.status, got.content)
		}
		if got := <-poll; got.status != 503 || !strings.Contains(string(got.content), "draining") {
			t.Errorf("poll = %d %s, want 503 draining once nothing runs", got.status, got.content)
		}
		p.ended()
	})
}

// notReady waits until the gateway stops.
func (p *process) notReady() {
	p.t.Helper()
	for until := time.Now().Add(patience); time.Now().Before(until); {
		if status, _ := p.send("GET", p.console+"readyz", "", nil); status == 503 {
			return
		}
	}
	p.t.Fatal("the gateway is ready")
}

// parked waits until the session polls.
func (p *process) parked(a schema.ClaimAnswer) {
	p.t.Helper()
	for until := time.Now().Add(patience); time.Now().Before(until); {
		_, content := p.send("GET", a.Claim, "t0", nil)
		if strings.Contains(string(content), `"parked":true`) {
			return
		}
	}
	p.t.Fatal("no poll is parked")
}

func TestASecondSignalEndsAtOnce(t *testing.T) {
	inBoth(t, func(t *testing.T, args ...string) {
		p := start(t, append(args, "--drain=1h")...)
		_, a := p.claim("t0")
		go func() { // the visitor's connection breaks
			resp, err := p.client.Get(a.URL)
			if err == nil {
				_ = resp.Body.Close()
			}
		}()
		if status, _ := p.send("GET", a.Requests, "t0", nil); status != 200 {
			t.Fatalf("poll = %d, want the request", status)
		}
		p.signals <- syscall.SIGTERM
		p.signals <- os.Interrupt
		p.ended()
		if log := p.log.String(); !strings.Contains(log, "stopped at once") {
			t.Errorf("log = %s, want that it stopped at once", log)
		}
	})
}

func TestRunningExchangesDelayTheEndOnlyForDrain(t *testing.T) {
	p := start(t, "--drain=100ms")
	_, a := p.claim("t0")
	go func() {
		resp, err := p.client.Get(a.URL)
		if err == nil {
			_ = resp.Body.Close()
		}
	}()
	if status, _ := p.send("GET", a.Requests, "t0", nil); status != 200 {
		t.Fatalf("poll = %d, want the request", status)
	}
	p.signals <- syscall.SIGTERM
	p.ended()
}

func TestALabelBelongsToItsTokenAfterARestart(t *testing.T) {
	dir := t.TempDir()
	p := start(t, "--data="+dir)
	if status, _ := p.claim("t0"); status != 201 {
		t.Fatalf("claim = %d, want 201", status)
	}
	p.signals <- syscall.SIGTERM
	p.ended()

	p = start(t, "--data="+dir)
	if status, _ := p.claim("t1"); status != 403 {
		t.Errorf("claim with another token = %d, want 403", status)
	}
	status, a := p.claim("t0")
	if status != 200 || a.Label != "demo" {
		t.Errorf("claim with its token = %d %+v, want 200", status, a)
	}
	if status, _ := p.send("DELETE", a.Claim, "t0", nil); status != 204 {
		t.Errorf("delete = %d, want 204", status)
	}
	p.signals <- syscall.SIGTERM
	p.ended()

	p = start(t, "--data="+dir)
	if status, _ := p.claim("t1"); status != 201 {
		t.Errorf("claim of a released label = %d, want 201", status)
	}
}

func TestTheErrorOfAGatewayThatCannotStartSaysWhatToDo(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	file := t.TempDir() + "/file"
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	config := t.TempDir() + "/config.json"
	if err := os.WriteFile(config, []byte(`{"listen":"127.0.0.1:0","family":["x"]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	later := t.TempDir()
	db, err := bbolt.Open(later+"/claims.db", 0o600, nil)
	if err == nil {
		err = db.Update(func(tx *bbolt.Tx) error {
			b, err := tx.CreateBucket([]byte("format"))
			return errors.Join(err, b.Put([]byte("version"), []byte("99")))
		})
		err = errors.Join(err, db.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"--listen=127.0.0.1:0", "--data=" + later}, 1, "a later version of the gateway wrote it, in format 99"},
		{[]string{"--listen=" + l.Addr().String()}, 1, "the port is in use; stop the program that uses it, or choose another with --listen"},
		{[]string{"--listen=nowhere.invalid:0"}, 1, "cannot resolve the host nowhere.invalid"},
		{[]string{"--listen=127.0.0.1:0", "--data=" + file}, 1, "choose a directory"},
		{[]string{"--listen=9551"}, 2, "--listen=9551: give HOST:PORT, such as 127.0.0.1:9551, or :9551"},
		{[]string{"--listen=127.0.0.1:99999"}, 2, "give HOST:PORT, such as 127.0.0.1:8080"}, {[]string{"--listen=nonsense"}, 2, "give HOST:PORT"},
		{[]string{"--listen="}, 2, "give HOST:PORT"}, {[]string{"--listen=:"}, 2, "give HOST:PORT"}, {[]string{"--listen=http://127.0.0.1:8080"}, 2, "give HOST:PORT"},
		{[]string{"--listen=http://127.0.0.1"}, 2, "give HOST:PORT"}, {[]string{"--listen=:nonsense"}, 2, "give HOST:PORT"},
		{[]string{"--listen=0.0.0.0:0"}, 2, "--listen=0.0.0.0:0: others can reach this address, and need public URLs with a name of yours: give --public-url 'http://{label}.example.com:"},
		{[]string{"--listen=127.0.0.1:0", "--public-url=http://x/"}, 2, "use a template such as"},
		{[]string{"--listen=127.0.0.1:0", "--public-url=http://localhost/claims/{label}/"}, 2, "is the gateway's own"},
		{[]string{"--listen=127.0.0.1:0", "--trusted-proxies=x"}, 2, "--trusted-proxies=x"},
		{[]string{"--listen=127.0.0.1:0", "--family=x"}, 2, "--family=x"},
		{[]string{"--listen=127.0.0.1:0", "--tls-cert=/nope", "--tls-key=/nope"}, 2, "--tls-cert=/nope"},
		{[]string{"--listen=127.0.0.1:0", "--reserved=Admin"}, 2, "--reserved=Admin"},
		{[]string{"--no-such-flag"}, 2, "--help"}, {[]string{"--wait=soon"}, 2, "--wait"}, {[]string{"--config=/nope"}, 2, "/nope"},
		{[]string{"--config=" + config}, 2, "config.json: --family=x"},
	} {
		var out bytes.Buffer
		o, err := parse(c.args)
		if err == nil {
			err = run(o, nil, &out, io.Discard)
		}
		if code := exitCode(err); err == nil || code != c.code || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "missing port") {
			t.Errorf("%v: %d %v, want %d and an error that says %q", c.args, code, err, c.code, c.says)
		}
		if out.Len() > 0 {
			t.Errorf("%v printed %q", c.args, out.String())
		}
	}
}

func TestSIGHUPStopsNothing(t *testing.T) {
	inBoth(t, func(t *testing.T, args ...string) {
		p := start(t, args...)
		for range 3 {
			p.signals <- syscall.SIGHUP
			if status, _ := p.send("GET", p.console+"readyz", "", nil); status != 204 {
				t.Errorf("readyz after SIGHUP = %d, want 204", status)
			}
		}
		_, a := p.claim("t0")
		id, visit := p.delivered(a)
		p.signals <- syscall.SIGTERM
		p.signals <- syscall.SIGHUP // also while it stops
		if status, content := p.send("POST", a.Responses, "t0", map[string]any{"type": "response", "id": id, "status": 200}); status != 202 {
			t.Errorf("answer = %d %s, want 202", status, content)
		}
		if got := <-visit; got.status != 200 {
			t.Errorf("visit = %d %s, want 200", got.status, got.content)
		}
		p.ended()
		if log := p.log.String(); !strings.Contains(log, "checked certificate and accounts") || strings.Contains(log, "stopped at once") {
			t.Errorf("log = %s", log)
		}
	})
}

func TestANegativeNumberCanBeTheValueOfAFlag(t *testing.T) {
	for _, args := range [][]string{{"--claims-per-second", "-1"}, {"--claims-per-second=-1"}, {"--visits-per-second", "-2.5", "--claims-per-second", "-1"}} {
		o, err := parse(args)
		if err != nil || orZero(o.ClaimsPerSecond) != -1 {
			t.Errorf("%q: %v, want a rate of -1", args, err)
		}
	}
	for _, args := range [][]string{{"-1"}, {"--claims-per-second", "-x"}, {"--data", "--log-level=debug"}} {
		if _, err := parse(args); err == nil {
			t.Errorf("%q is accepted", args)
		}
	}
}
