package main

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	operators "reversehttp/server/admin"
	"reversehttp/server/claim"
	"reversehttp/server/gateway"
	"reversehttp/server/store"
)

// operated is a gateway with an operator's address.
type operated struct {
	t     *testing.T
	dir   string // the directory of --data
	g     *gateway.Gateway
	flags []string // the operator's address
}

const operatorKey = "k-0123456789abcdef"

// operate starts a gateway with an operator's address: a Unix socket, or a port with a key.
func operate(t *testing.T, network string) *operated {
	t.Helper()
	dir := t.TempDir()
	s, err := store.Open(filepath.Join(dir, "data"), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	g, err := gateway.New(gateway.Options{Records: s, Withdrawn: s})
	if err != nil {
		t.Fatal(err)
	}
	g.Admin.Backup = s.Backup
	o := &operated{t: t, dir: filepath.Join(dir, "data"), g: g}
	options, address := operators.Options{}, filepath.Join(dir, "s")
	if network == "tcp" {
		key := filepath.Join(dir, "key")
		if err := os.WriteFile(key, []byte(operatorKey+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		options.Key, address, o.flags = operatorKey, "127.0.0.1:0", []string{"--admin-key-file=" + key}
	}
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	if network == "tcp" {
		o.flags = append(o.flags, "--admin=http://"+l.Addr().String())
	} else {
		o.flags = append(o.flags, "--admin=unix:"+address)
	}
	port := operators.NewPort(g.Admin, options)
	port.Serve(l)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		port.Close(ctx)
		g.Close()
		s.Close()
	})
	return o
}

// claim claims a label.
func (o *operated) claim(label string) {
	o.t.Helper()
	if _, err := o.g.Registry().Open(netip.MustParseAddr("192.0.2.1"), label, "a-token-of-the-claim", claim.Settings{}); err != nil {
		o.t.Fatal(err)
	}
}

// do runs an operator's command.
func (o *operated) do(args ...string) (code int, stdout, stderr string) {
	o.t.Helper()
	var out, errors buffer
	code = run(append([]string{"admin"}, args...), nil, &out, &errors)
	return code, out.String(), errors.String()
}

// at runs an operator's command that calls the gateway.
func (o *operated) at(args ...string) (code int, stdout, stderr string) {
	o.t.Helper()
	return o.do(append(args, o.flags...)...)
}

func TestTheOperatorTakesDownAndRestores(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		o := operate(t, network)
		o.claim("demo")
		o.claim("other")
		code, stdout, stderr := o.at("takedown", "demo", "--reason", "phishing")
		var known struct{ TakenDown []operators.TakenDown }
		if err := json.Unmarshal([]byte(stdout), &known); code != 0 || err != nil || len(known.TakenDown) != 1 || !known.TakenDown[0].Claimed || !strings.Contains(stderr, "taken down: demo") {
			t.Fatalf("takedown = %d %s %s %v", code, stdout, stderr, err)
		}
		if o.g.Registry().Lookup("demo") != nil || o.g.Registry().Lookup("other") == nil {
			t.Error("the claim lives, or another ended")
		}
		if code, stdout, _ := o.at("takedowns"); code != 0 || !strings.Contains(stdout, `"label":"demo"`) || strings.Count(stdout, "\n") != 1 {
			t.Errorf("takedowns = %d %s", code, stdout)
		}
		if code, _, stderr := o.at("takedown", "192.0.2.1"); code != 0 || !strings.Contains(stderr, "taken down: other") {
			t.Errorf("takedown of an address = %d %s", code, stderr)
		}
		if code, _, stderr := o.at("restore-label", "demo"); code != 0 || !strings.Contains(stderr, "demo can be claimed again") {
			t.Errorf("restore-label = %d %s", code, stderr)
		}
		o.claim("demo")
		if code, _, stderr := o.at("restore-label", "demo"); code != exitFailed || !strings.Contains(stderr, "not taken down") {
			t.Errorf("restore-label again = %d %s", code, stderr)
		}
	}
}

func TestABackupIsTakenHotAndRestored(t *testing.T) {
	o := operate(t, "unix")
	o.claim("demo")
	file := filepath.Join(t.TempDir(), "backup")
	if code, _, stderr := o.at("backup", file); code != 0 || !strings.Contains(stderr, "1 claims are in") {
		t.Fatalf("backup = %d %s", code, stderr)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the backup is %v %v, want 0600", info.Mode(), err)
	}
	if code, _, stderr := o.do("restore", file, "--data", o.dir); code != exitFailed || !strings.Contains(stderr, "another gateway uses it") {
		t.Errorf("restore under a gateway = %d %s, want that it is refused", code, stderr)
	}
	dir := filepath.Join(t.TempDir(), "data")
	if code, _, stderr := o.do("restore", file, "--data", dir); code != 0 || !strings.Contains(stderr, "1 claims are in") {
		t.Fatalf("restore = %d %s", code, stderr)
	}
	s, err := store.Open(dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if kept, err := s.Records(); err != nil || len(kept) != 1 || kept[0].Label != "demo" {
		t.Errorf("restored: %v %v", kept, err)
	}
	bad := filepath.Join(t.TempDir(), "bad")
	if err := os.WriteFile(bad, []byte("no backup"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := o.do("restore", bad, "--data", filepath.Join(t.TempDir(), "data")); code != exitFailed || !strings.Contains(stderr, "cannot restore") {
		t.Errorf("restoring what is no backup = %d %s", code, stderr)
	}
}

func TestAnIncompleteBackupIsNotStored(t *testing.T) {
	for name, write := range map[string]http.HandlerFunc{
		"cut": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "half")
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		},
		"page": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>welcome to the hotel") },
	} {
		server := httptest.NewServer(write)
		o := &operated{t: t}
		file := filepath.Join(t.TempDir(), "backup")
		if err := os.WriteFile(file, []byte("before"), 0o600); err != nil {
			t.Fatal(err)
		}
		code, _, stderr := o.do("backup", "--admin="+server.URL, file)
		server.Close()
		content, _ := os.ReadFile(file)
		if left, _ := filepath.Glob(filepath.Join(filepath.Dir(file), ".backup-*")); code != exitFailed || string(content) != "before" || len(left) > 0 {
			t.Errorf("%s: backup = %d %s, the file has %q, left %v", name, code, stderr, content, left)
		}
	}
}

func TestErrorsOfTheOperatorSayWhatToDo(t *testing.T) {
	o := operate(t, "tcp")
	wrong := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(wrong, []byte("k-another-key-of-somebody"), 0o600); err != nil {
		t.Fatal(err)
	}
	at := o.flags[1]
	for _, c := range []struct {
		args string
		code int
		says string
	}{
		{"takedown demo --admin=http://127.0.0.1:1", exitUnreachable, "--admin-listen"}, {"takedown demo --admin=unix:/nope", exitUnreachable, "cannot be reached"}, {"takedown demo --admin=nonsense", exitUsage, "give a URL"},
		{"takedown demo " + at, exitRefused, "key"}, {"takedown demo " + at + " --admin-key-file=" + wrong, exitRefused, "key"}, {"takedown demo " + at + " --admin-key-file=/nope", exitUsage, "/nope"},
		{"takedown https://demo.example.com/", exitUsage, "neither a label nor an address"}, {"restore /nope --data " + t.TempDir(), exitUsage, "/nope"}, {"restore x", exitUsage, "--data"},
	} {
		code, stdout, stderr := o.do(strings.Fields(c.args)...)
		if code != c.code || !strings.Contains(stderr, c.says) || stdout != "" || strings.Contains(stderr, operatorKey) {
			t.Errorf("%s = %d %q, want %d and %q", c.args, code, stderr, c.code, c.says)
		}
	}
}

func TestReadyIsAHealthCheck(t *testing.T) {
	o := operate(t, "unix")
	if code, stdout, stderr := o.at("ready"); code != exitDone || stdout+stderr != "" {
		t.Errorf("ready = %d %s%s", code, stdout, stderr)
	}
	if code, _, _ := o.do("ready", "--admin", "unix:"+filepath.Join(t.TempDir(), "none")); code != exitUnreachable {
		t.Errorf("ready without a gateway = %d, want %d", code, exitUnreachable)
	}
	drain, cancel := context.WithCancel(t.Context())
	cancel()
	o.g.Drain(drain)
	if code, _, _ := o.at("ready"); code == exitDone {
		t.Error("ready = 0 while the gateway stops")
	}
}
