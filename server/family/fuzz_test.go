package family

import (
	"bufio"
	"net/http"
	"strings"
	"testing"

	"reversehttp/server/claim"
	"reversehttp/server/door"
	"reversehttp/server/gateway"
)

// Any request of a program is refused, or names existing labels and a protocol.
func FuzzAsking(f *testing.F) {
	for _, head := range []string{
		"GET /.well-known/ptth/http%3A%2F%2Fdemo.localhost%3A8080/ HTTP/1.1\r\nHost: localhost:8080\r\nConnection: upgrade\r\nUpgrade: ptth\r\nALPN: h2, http%2F1.1\r\n\r\n",
		"GET /.well-known/ptth/http%3A%2F%2Fa.localhost%3A8080,http%3a%2f%2fb.localhost:8080 HTTP/1.1\r\nHost: localhost:8080\r\nConnection: upgrade\r\nUpgrade: Reverse\r\nALPN: http%2f1.1\r\n\r\n",
		"POST /ptth/demo HTTP/1.1\r\nHost: localhost:8080\r\nConnection: Upgrade\r\nUpgrade: foo, PTTH/1.0\r\n\r\n",
		"POST /demo HTTP/1.1\nHost: localhost:8080\nConnection: keep-alive, UPGRADE\nUpgrade: PTTH/0.9\n\n",
		"GET /.well-known/ptth/%2c,,//?,/ HTTP/1.1\r\nHost: x\r\nConnection: ,upgrade,\r\nUpgrade: ptth/1, ptth\r\nALPN: %,%2,h2%00\r\n\r\n",
	} {
		f.Add(head)
	}
	var host *door.Host
	g, err := gateway.New(gateway.Options{Loopback: true, Doors: func(h *door.Host) []door.Door {
		host = h
		return nil
	}})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(g.Close)
	d := &ietf{g: host}
	f.Fuzz(func(t *testing.T, head string) {
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(head)))
		if err != nil {
			return
		}
		if version := versionOf(r); version != "" && !strings.EqualFold(version, "PTTH/1.0") && !strings.EqualFold(version, "PTTH/0.9") {
			t.Errorf("version %q", version)
		}
		if hello, err := read(r); err == nil && (hello.inner != http1 && hello.inner != http2Name || !strings.EqualFold(hello.protocol, "ptth") && !strings.EqualFold(hello.protocol, "reverse")) {
			t.Errorf("%q asks for %+v", head, hello)
		}
		labels, err := d.labels(r)
		for _, label := range labels {
			if err == nil && !claim.ValidLabel(label) {
				t.Errorf("%q names %q", head, label)
			}
		}
	})
}
