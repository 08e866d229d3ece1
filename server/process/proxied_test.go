package process

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// Rates apply to the address that the proxy sends, and its fields are ignored.
func TestTheProxyProtocolNamesTheVisitor(t *testing.T) {
	if _, err := parse([]string{"--proxy-protocol"}); err == nil || !strings.Contains(err.Error(), "--trusted-proxies") {
		t.Errorf("without --trusted-proxies: %v, want an error that names it", err)
	}
	p := start(t, "--listen=127.0.0.1:0", "--public-url=http://{label}.example.com/", "--trusted-proxies=127.0.0.1", "--proxy-protocol", "--claims-per-second=0.05")
	address := p.listens()
	claims := func(from string) int {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_, _ = fmt.Fprintf(c, "PROXY TCP4 %s 198.51.100.1 5 80\r\nPOST /claims HTTP/1.1\r\nHost: example.com\r\nX-Forwarded-For: 203.0.113.77\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", from)
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		return resp.StatusCode
	}
	for i, want := range []struct {
		from   string
		status int
	}{{"192.0.2.1", 201}, {"192.0.2.1", 429}, {"192.0.2.2", 201}, {"192.0.2.2", 429}} {
		if got := claims(want.from); got != want.status {
			t.Errorf("claim %d, from %s: %d, want %d", i, want.from, got, want.status)
		}
	}
}
