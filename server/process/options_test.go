package process

import (
	"bytes"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"

	"reversehttp/server/claim"
)

func TestWithoutFlagsTheOptionsAreTheDefaults(t *testing.T) {
	o, err := parse(nil)
	if err != nil {
		t.Fatal(err)
	}
	if o.Listen != "127.0.0.1:8080" || o.Data != "" || o.LogFormat != "text" || o.Wait != 25*time.Second || o.Lease != time.Minute {
		t.Errorf("options = %+v, want the defaults of the protocol", o)
	}
	g, err := o.gateway(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8081}, slog.New(slog.DiscardHandler))
	if err != nil || g.PublicURL != "http://{label}.localhost:8081/" || !g.Loopback || g.Keys != nil || g.Reserved != nil || g.TrustedProxies != nil {
		t.Errorf("gateway = %+v %v, want the port of the listener", g, err)
	}
}

func TestTheVersionIsOneLine(t *testing.T) {
	t.Setenv("REVERSEHTTP_VERSION", "true") // not a flag
	if _, err := parse(nil, kong.Exit(func(int) { t.Error("the environment asks for the version") })); err != nil {
		t.Error(err)
	}
	var out bytes.Buffer
	code := -1
	// If the process does not exit, parsing continues.
	_, _ = parse([]string{"--version"}, kong.Writers(&out, &out), kong.Exit(func(c int) { code = c }))
	got := out.String()
	if code != 0 || !strings.HasPrefix(got, "reversehttp gateway ") || !strings.HasSuffix(got, " "+runtime.Version()+"\n") || strings.Count(got, "\n") != 1 {
		t.Errorf("--version = %d %q, want version and Go's", code, got)
	}
}

func TestFlagsTakePrecedenceOverEnvironmentAndFile(t *testing.T) {
	config := filepath.Join(t.TempDir(), "config.json")
	if err := os.WriteFile(config, []byte(`{"listen":":1","public-url":"http://{label}.file.example/","lease":"3m","batch":3,"answer-bytes":33554432,"claims-per-second":0.5,"log-format":"json"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("REVERSEHTTP_LISTEN", ":2")
	t.Setenv("REVERSEHTTP_PUBLIC_URL", "http://{label}.env.example/")
	t.Setenv("REVERSEHTTP_CLAIM_KEYS", "k1,k2")
	t.Setenv("REVERSEHTTP_NO_POLLER", "9s")
	o, err := parse([]string{"--config", config, "--listen=:3", "--reserved=a,b", "--max-queue=7"})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name      string
		got, want any
	}{
		{"listen", o.Listen, ":3"}, {"public URL", o.PublicURL, "http://{label}.env.example/"}, {"lease", o.Lease, 3 * time.Minute}, {"batch", o.Batch, 3},
		{"answer bytes", o.AnswerBytes, 32 << 20}, {"rate", orZero(o.ClaimsPerSecond), 0.5}, {"log format", o.LogFormat, "json"}, {"no poller", o.NoPoller, 9 * time.Second}, {"queue", o.MaxQueue, 7},
		{"keys", strings.Join(o.ClaimKeys, " "), "k1 k2"}, {"reserved", strings.Join(o.Reserved, " "), "a b"},
	} {
		if c.got != c.want {
			t.Errorf("%s = %v, want %v", c.name, c.got, c.want)
		}
	}
}

func TestTheErrorForABadOptionHasTheReason(t *testing.T) {
	file := func(name, content string) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return "--config=" + path
	}
	for _, c := range []struct{ arg, says string }{
		{"--nothing", "--nothing"}, {"--wait=soon", "--wait"}, {"--wait=0s", "--wait=0s"}, {"--lease=-1m", "--lease=-1m0s"}, {"--wait=1100ms", "whole seconds"},
		{"--max-queue=0", "--max-queue=0"}, {"--batch=-1", "--batch=-1"}, {"--inline-bytes=many", "--inline-bytes"}, {"--log-format=xml", "xml"},
		{"--log-level=loud", "loud"}, {"--config=/does/not/exist", "/does/not/exist"}, {file("broken.json", `{"listen"`), "broken.json"}, {file("list.json", "[]"), "list.json"},
		{file("typo.json", `{"lisen":":1"}`), `no flag "lisen"`}, {file("version.json", `{"version":true}`), `no flag "version"`}, {file("value.json", `{"batch":0}`), "--batch=0"}, {file("type.json", `{"wait":[]}`), "--wait"},
		{"stray", "stray"},
	} {
		if _, err := parse([]string{c.arg}); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want an error that says %q", c.arg, err, c.says)
		}
	}
}

func TestADeviceIsALabelAndAToken(t *testing.T) {
	at := &net.TCPAddr{Port: 1}
	for value, says := range map[string]string{
		"demo": "give LABEL=TOKEN", "Demo=k1": `"Demo" can be no label`, "=k1": `"" can be no label`, "demo=": "the token of demo is a part of a path",
		"demo=a/b": "the token of demo is a part of a path", "demo=a b": "the token of demo is a part of a path", "demo=..": "the token of demo is a part of a path",
		"demo=demo": "which everybody knows", "demo=k1,demo=k2": "demo is listed twice", "demo=k1,other=k1": "the token of other is that of another label",
	} {
		o, err := parse([]string{"--family-device=" + value})
		if err == nil {
			_, err = o.gateway(at, slog.New(slog.DiscardHandler))
		}
		if err == nil || !strings.Contains(err.Error(), "--family-device: ") || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "k1") {
			t.Errorf("%s: %v, want an error that says %q and no token", value, err, says)
		}
	}
	for args, says := range map[string]string{"--family-device=demo=k1 --family=ietfPtth": "--family opens neither", "--family-device=demo=k1 --family-device=b=k2 --family=ptth": ""} {
		o, err := parse(append(strings.Fields(args), "--public-url=http://{label}.example.com/"))
		if err == nil {
			_, err = o.gateway(at, slog.New(slog.DiscardHandler))
		}
		if says == "" && err != nil || says != "" && (err == nil || !strings.Contains(err.Error(), says)) {
			t.Errorf("%s: %v, want %q", args, err, says)
		}
	}
}

func TestAllowedOriginsAreUsedUnchanged(t *testing.T) {
	at := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8081}
	t.Setenv("REVERSEHTTP_ALLOW_ORIGIN", "https://a.example,null")
	for args, want := range map[string]string{"": "https://a.example null", "--allow-origin=http://b.example:3000": "http://b.example:3000", "--allow-origin=*": "!--allow-origin=*: give origins such as https://app.example"} {
		o, err := parse(strings.Fields(args))
		if err != nil {
			t.Fatal(err)
		}
		g, err := o.gateway(at, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		says, wrong := strings.CutPrefix(want, "!")
		running, err := newGateway(o, g, g.Log)
		if wrong && (err == nil || !strings.Contains(err.Error(), says) || exitCode(err) != 2) {
			t.Errorf("%s: %v, want an error that says %q, and the exit code of wrong flags", args, err, says)
		}
		if !wrong && (err != nil || strings.Join(g.AllowOrigins, " ") != want) {
			t.Errorf("%s: %q %v, want %q", args, g.AllowOrigins, err, want)
		}
		if err == nil {
			running.close()
		}
	}
}

func TestProxiesAreAddressesOrPrefixes(t *testing.T) {
	at := &net.TCPAddr{IP: net.IPv6unspecified, Port: 80}
	o, err := parse([]string{"--trusted-proxies=10.0.0.0/8,192.0.2.1,fd00::/8,::1", "--public-url=http://{label}.example.com/"})
	if err != nil {
		t.Fatal(err)
	}
	g, err := o.gateway(at, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	var want []netip.Prefix
	for _, p := range []string{"10.0.0.0/8", "192.0.2.1/32", "fd00::/8", "::1/128"} {
		want = append(want, netip.MustParsePrefix(p))
	}
	if !slices.Equal(g.TrustedProxies, want) || g.Loopback {
		t.Errorf("proxies = %v, loopback %v; want %v and not", g.TrustedProxies, g.Loopback, want)
	}
	o.TrustedProxies = []string{"proxy.example"}
	if _, err := o.gateway(at, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "--trusted-proxies=proxy.example") {
		t.Errorf("a name: %v, want an error that says what to give", err)
	}
}

func TestEveryFlagOfTheGatewayReachesIt(t *testing.T) {
	o, err := parse([]string{
		"--max-claims=1", "--max-sessions=2", "--max-queue=3", "--max-exchanges=4", "--batch=5", "--inline-bytes=6", "--answer-bytes=7", "--target-bytes=8",
		"--field-bytes=9", "--fields=10", "--content-rate=11", "--wait=12s", "--acknowledge=13s", "--no-poller=14s", "--answer=15s", "--lease=16s",
		"--tombstone=17s", "--field-time=18s", "--content-grace=19s", "--idle=20s", "--preflight=21s", "--drain=22s", "--claims-per-second=23",
		"--visits-per-second=24", "--stream=25s", "--heartbeat=26s", "--unacknowledged=27s", "--claims-per-address=28", "--max-connections=29",
		"--public-url=http://{label}.example.com/", "--content-pause=30s", "--unpolled=31s", "--claim-keys=k", "--memory=64MiB", "--closed=32s", "--drain-delay=33s", "--released=34s", "--max-released=35",
	})
	if err != nil {
		t.Fatal(err)
	}
	g, err := o.gateway(&net.TCPAddr{Port: 1}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	got := []any{
		g.Limits.Claims, g.Limits.Sessions, g.Limits.Queue, g.Limits.Exchanges, g.Limits.Batch, g.InlineBytes, g.AnswerBytes, g.TargetBytes, g.FieldBytes,
		g.Fields, g.ContentRate, g.Times.Wait, g.Times.Acknowledge, g.Times.NoPoller, g.Times.Answer, g.Times.Lease, g.Times.Tombstone, g.FieldTime,
		g.ContentGrace, g.Idle, g.Preflight, g.Drain, g.ClaimsPerSecond, g.VisitsPerSecond,
		g.Times.Stream, g.Times.Heartbeat, g.Times.Unacknowledged, g.Limits.AddressClaims, g.Limits.Connections, g.ContentPause, g.Times.Unpolled, g.Times.Closed, g.DrainDelay, g.Times.Released, g.Limits.Released,
	}
	for i, v := range got {
		var n int
		switch v := v.(type) {
		case int:
			n = v
		case time.Duration:
			n = int(v / time.Second)
		case float64:
			n = int(v)
		}
		if n != i+1 {
			t.Errorf("option %d is %v, want %d", i+1, v, i+1)
		}
	}
	if want := int64(32 << 20); g.Limits.Memory != want {
		t.Errorf("memory to hold = %d, want half of --memory, %d", g.Limits.Memory, want)
	}
	if !slices.Equal(g.Keys, []string{"k"}) {
		t.Errorf("keys = %v", g.Keys)
	}
}

func TestAnEmptyKeyDoesNotOpenTheGateway(t *testing.T) {
	for _, args := range [][]string{{"--claim-keys="}, {"--claim-keys", ""}, {"--claim-keys", "a,,b"}} {
		if _, err := parse(args); err == nil || !strings.Contains(err.Error(), "--claim-keys") {
			t.Errorf("%q: %v, want it refused", args, err)
		}
	}
	t.Setenv("REVERSEHTTP_CLAIM_KEYS", "")
	if _, err := parse(nil); err == nil {
		t.Error("an empty variable opens the gateway")
	}
	if _, err := parse([]string{"--claim-keys", "k"}); err != nil {
		t.Error(err)
	}
}

func TestTheOperatorsTokensMayBeShort(t *testing.T) {
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	for _, c := range []struct {
		public        string
		at            net.IP
		shared, warns bool
	}{
		{"http://{label}.gateway.example/", net.IPv4zero, true, true}, {"http://{label}.gateway.example/", net.IPv4zero, false, true},
		{"http://{label}.localhost/", net.IPv4(127, 0, 0, 1), false, false},
	} {
		args := []string{"--public-url=" + c.public, "--family-device=lamp=k-lamp"}
		if c.shared {
			args = append(args, "--shared-token")
		}
		o, err := parse(args)
		if err != nil {
			t.Fatal(err)
		}
		settings, err := o.gateway(&net.TCPAddr{IP: c.at, Port: 8081}, logger)
		if err != nil {
			t.Fatal(err)
		}
		log.Reset()
		g, err := newGateway(o, settings, logger)
		if err != nil {
			t.Fatal(err)
		}
		open := func(label, token string) error {
			_, err := g.Registry().Open(netip.Addr{}, label, token, claim.Settings{})
			return err
		}
		if err := open("lamp", "k-lamp"); err != nil {
			t.Errorf("%+v: the device's: %v", c, err)
		}
		if err := open("demo", "-"); (err == nil) != (c.shared || !c.warns) {
			t.Errorf("%+v: the shared one: %v", c, err)
		}
		if err := open("other", "k-lamp"); (err == nil) != !c.warns {
			t.Errorf("%+v: the device's for another label: %v", c, err)
		}
		if got := strings.Contains(log.String(), "the token of a device is short"); got != c.warns || strings.Contains(log.String(), "k-lamp") {
			t.Errorf("%+v: log %q, want a warning: %v, and no token", c, log.String(), c.warns)
		}
		g.close()
	}
}
