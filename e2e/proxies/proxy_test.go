package proxies

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// proxy is a forward proxy in a process of its own.
type proxy struct{ address string }

// client returns a client that sends every request through the proxy, until the test ends.
func (p proxy) client(t *testing.T) *http.Client {
	transport := &http.Transport{Proxy: http.ProxyURL(&url.URL{Scheme: "http", Host: p.address}), MaxIdleConnsPerHost: 8, ExpectContinueTimeout: time.Second}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// startSquid starts a squid with access rules, until the test ends. It resolves gateway.test to this machine.
func startSquid(t *testing.T, rules string) proxy {
	t.Helper()
	dir, address := room(t)
	write(t, dir, "hosts", "127.0.0.1 localhost gateway.test\n")
	conf := write(t, dir, "squid.conf", fmt.Sprintf(`
http_port %s
pid_filename none
cache deny all
cache_mem 8 MB
access_log none
cache_log %s/cache.log
cache_store_log none
coredump_dir %[2]s
hosts_file %[2]s/hosts
visible_hostname squid.test
shutdown_lifetime 0 seconds
max_filedescriptors 1024
%s
http_access allow all
`, address, dir, rules))
	start(t, address, "squid", "-N", "-f", conf)
	return proxy{address}
}

// startTinyproxy starts a tinyproxy, until the test ends, that closes connections after some idle seconds.
func startTinyproxy(t *testing.T, idle int) proxy {
	t.Helper()
	dir, address := room(t)
	_, port, _ := net.SplitHostPort(address)
	conf := write(t, dir, "tinyproxy.conf", fmt.Sprintf("Port %s\nListen 127.0.0.1\nTimeout %d\nMaxClients 50\nAllow 127.0.0.1\nLogLevel Critical\n", port, idle))
	start(t, address, "tinyproxy", "-d", "-c", conf)
	return proxy{address}
}

// room returns a free address, and a directory that any user may write to, because squid gives up the rights of root.
func room(t *testing.T) (dir, address string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "proxies")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return dir, l.Addr().String()
}

func write(t *testing.T, dir, name, content string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// start starts a program and waits until it listens.
func start(t *testing.T, address, name string, args ...string) {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		// On Debian squid is in a directory that is not in the PATH of users.
		if path, err = exec.LookPath("/usr/sbin/" + name); err != nil {
			t.Skipf("there is no %s here: %v", name, err)
		}
	}
	cmd := exec.Command(path, args...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
	})
	for deadline := time.Now().Add(patience); ; {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			conn.Close()
			return
		}
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("%s ended: %v", name, err)
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s does not listen: %v", name, err)
		}
	}
}
